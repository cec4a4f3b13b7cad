/* Classifies a photograph with a .lamella file of the target native:
 *
 *     classify model.lamella photo.ppm
 *
 * The model takes float32 (1, 3, height, width) and gives a score for each class, as
 * samples/vision/efficientnet_lite0.py does; pixels become (value - 127) / 128. */
#include <lamella.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A binary PPM file as rows of red, green and blue; NULL where it is none. */
static uint8_t* read_photo(const char* path, int* width, int* height) {
  FILE* file = fopen(path, "rb");
  uint8_t* pixels = NULL;
  int most = 0;
  if (file == NULL) return NULL;
  if (fscanf(file, "P6 %d %d %d", width, height, &most) == 3 && fgetc(file) != EOF && most == 255 &&
      *width > 0 && *height > 0 && *width <= 16384 && *height <= 16384) {
    const size_t size = 3 * (size_t)*width * (size_t)*height;
    pixels = malloc(size);
    if (pixels != NULL && fread(pixels, 1, size, file) != size) {
      free(pixels);
      pixels = NULL;
    }
  }
  fclose(file);
  return pixels;
}

/* The photo in the size of the input, the nearest pixel for each of its own, channels first. */
static void fill(const uint8_t* photo, int width, int height, const lamella_tensor* input) {
  const int64_t rows = input->sizes[2], cols = input->sizes[3];
  float* to = input->data;
  for (int64_t channel = 0; channel < 3; ++channel) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < cols; ++col) {
        const int64_t y = (2 * row + 1) * height / (2 * rows);
        const int64_t x = (2 * col + 1) * width / (2 * cols);
        *to++ = ((float)photo[3 * (y * width + x) + channel] - 127.0f) / 128.0f;
      }
    }
  }
}

/* Whether class a comes before class b. */
static int is_before(const float* score, int64_t a, int64_t b) {
  return score[a] > score[b] || (score[a] == score[b] && a < b);
}

static void print_best(const lamella_tensor* scores) {
  const float* score = scores->data;
  const int64_t classes = scores->sizes[scores->rank - 1];
  int64_t last = -1;
  for (int place = 1; place <= 5 && place <= classes; ++place) {
    int64_t best = -1;
    for (int64_t i = 0; i < classes; ++i) {
      if (last >= 0 && !is_before(score, last, i)) continue;
      if (best < 0 || is_before(score, i, best)) best = i;
    }
    printf("%d. class %d  %.4f\n", place, (int)best, (double)score[best]);
    last = best;
  }
}

static int classify(const lamella_model* model, lamella_session* session, const char* path) {
  lamella_tensor input, scores;
  int width = 0, height = 0;
  uint8_t* photo = read_photo(path, &width, &height);
  const char* name = lamella_input(model, 0, &input);
  if (photo == NULL) {
    fprintf(stderr, "%s is no binary PPM file of 8 bits\n", path);
    return 1;
  }
  if (name == NULL || input.rank != 4 || input.sizes[1] != 3 || input.sizes[2] < 1) {
    fprintf(stderr, "the model does not take pictures\n");
    return 1;
  }
  input.sizes[0] = 1;
  input.data = malloc(sizeof(float) * 3 * (size_t)(input.sizes[2] * input.sizes[3]));
  if (input.data == NULL) return 1;
  fill(photo, width, height, &input);
  free(photo);
  const int failed = lamella_set_input(session, name, &input) != LAMELLA_OK ||
                     lamella_run(session) != LAMELLA_OK ||
                     lamella_get_output(session, lamella_output(model, 0, NULL), &scores);
  if (failed) {
    fprintf(stderr, "%s\n", lamella_error(session));
  } else {
    print_best(&scores);
  }
  free(input.data);
  return failed;
}

int main(int argc, char** argv) {
  lamella_model* model = NULL;
  lamella_session* session = NULL;
  int failed = 1;
  if (argc != 3) {
    fprintf(stderr, "usage: %s model.lamella photo.ppm\n", argv[0]);
    return 2;
  }
  if (lamella_open(argv[1], 0, &model) != LAMELLA_OK) {
    fprintf(stderr, "%s\n", lamella_model_error(model));
  } else if (lamella_start(model, NULL, &session) != LAMELLA_OK ||
             lamella_verify(session) != LAMELLA_OK) {
    fprintf(stderr, "%s\n", lamella_error(session));
  } else {
    failed = classify(model, session, argv[2]);
  }
  lamella_stop(session);
  lamella_close(model);
  return failed;
}
