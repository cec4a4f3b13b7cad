/* The C API of lamella: runs a .lamella file whose target is `native`.
 *
 *     lamella_model* model;
 *     lamella_session* session;
 *     if (lamella_open("model.lamella", 0, &model) != LAMELLA_OK) die(lamella_model_error(model));
 *     if (lamella_start(model, NULL, &session) != LAMELLA_OK) die(lamella_error(session));
 *     lamella_tensor pixels = {LAMELLA_FLOAT32, 4, {1, 3, 224, 224}, image};
 *     lamella_set_input(session, "pixel_values", &pixels);
 *     if (lamella_run(session) != LAMELLA_OK) die(lamella_error(session));
 *     lamella_tensor logits;
 *     lamella_get_output(session, "logits", &logits);
 *     lamella_stop(session);
 *     lamella_close(model);
 *
 * A model is read-only once it is open and may be used by many threads; a session, which has the
 * memory of a run, by one at a time. Nothing here prints, aborts, throws or keeps global state.
 * Functions that can fail return a status; the sentence that goes with it says what was wrong, the
 * value, and what to do.
 */
#ifndef LAMELLA_H_
#define LAMELLA_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define LAMELLA_API
#else
#define LAMELLA_API __attribute__((visibility("default")))
#endif

/* Raised when a declaration of this header changes its meaning or goes away. */
#define LAMELLA_ABI_VERSION 1

typedef enum lamella_status {
  LAMELLA_OK = 0,
  LAMELLA_BAD_FILE = 1,     /* cannot be read, is damaged, or is for another target */
  LAMELLA_BAD_ARGUMENT = 2, /* a name, size or number that does not fit the model */
  LAMELLA_NO_MEMORY = 3,
  LAMELLA_FAILED = 4,  /* the model cannot run with these values, or computes something else */
  LAMELLA_STOPPED = 5, /* a callback asked for it */
} lamella_status;

typedef enum lamella_dtype {
  LAMELLA_FLOAT32 = 0,
  LAMELLA_FLOAT16 = 1,
  LAMELLA_INT8 = 2,
  LAMELLA_UINT8 = 3,
  LAMELLA_INT32 = 4,
  LAMELLA_INT64 = 5,
  LAMELLA_BOOL = 6, /* a byte 0 or 1 */
} lamella_dtype;

#define LAMELLA_MOST_AXES 6

/* An array in C order. A size of -1 in what lamella_input() and lamella_output() give is free. */
typedef struct lamella_tensor {
  lamella_dtype dtype;
  uint32_t rank;
  int64_t sizes[LAMELLA_MOST_AXES];
  void* data;
} lamella_tensor;

typedef struct lamella_model lamella_model;
typedef struct lamella_session lamella_session;

/* LAMELLA_ABI_VERSION of the library. */
LAMELLA_API uint32_t lamella_abi_version(void);

/* Flags of lamella_open(). */
#define LAMELLA_SKIP_DIGESTS 1u /* leaves the checksums of program and weights unread */

/* Maps a file. *model is set even where this fails, so that lamella_model_error() can say why, and
 * must be closed; it is NULL only where there is no memory for it. The file may be replaced by
 * renaming while it is open, but must not be truncated. */
LAMELLA_API lamella_status lamella_open(const char* path, uint32_t flags, lamella_model** model);

/* The same for a file in memory, at a multiple of 64 bytes, which must outlive the model. */
LAMELLA_API lamella_status lamella_open_memory(const void* data, size_t size, uint32_t flags,
                                               lamella_model** model);

/* Sessions of the model must be stopped before. NULL does nothing. */
LAMELLA_API void lamella_close(lamella_model* model);

/* Why it could not be opened; empty where it could. */
LAMELLA_API const char* lamella_model_error(const lamella_model* model);

/* Name and shape of input or output `index`, from 0; the name is NULL behind the last one. The data
 * of `shape`, which may be NULL, is NULL. */
LAMELLA_API const char* lamella_input(const lamella_model* model, uint32_t index,
                                      lamella_tensor* shape);
LAMELLA_API const char* lamella_output(const lamella_model* model, uint32_t index,
                                       lamella_tensor* shape);

/* A file that travels with the model, such as "tokenizer.json"; NULL where there is none. */
LAMELLA_API const void* lamella_attachment(const lamella_model* model, const char* name,
                                           size_t* size);

typedef struct lamella_options {
  uint32_t threads;  /* 0 for one */
  uint32_t capacity; /* tokens that the cache of a language model holds; 0 for the most */
} lamella_options;

/* A new session; `options` may be NULL. As with lamella_open(), *session is set even where this
 * fails, and must be stopped. */
LAMELLA_API lamella_status lamella_start(const lamella_model* model, const lamella_options* options,
                                         lamella_session** session);
LAMELLA_API void lamella_stop(lamella_session* session);

/* What the last call of this session that failed says; empty before. */
LAMELLA_API const char* lamella_error(const lamella_session* session);

/* The data is read by every run until it is set again, in place. */
LAMELLA_API lamella_status lamella_set_input(lamella_session* session, const char* name,
                                             const lamella_tensor* tensor);
LAMELLA_API lamella_status lamella_run(lamella_session* session);

/* The data is the session's, valid until its next run. */
LAMELLA_API lamella_status lamella_get_output(lamella_session* session, const char* name,
                                              lamella_tensor* tensor);

/* Runs the canary, the inputs in the file, and compares with the outputs in the file: whether this
 * device computes what was computed where the file was packed. For the first time that an app opens
 * a file on a device. Clears the cache of a language model and forgets the inputs. */
LAMELLA_API lamella_status lamella_verify(lamella_session* session);

/* Bytes: constants, which are read in place; values between calls; caches; and the most that a call
 * needs while it runs. Known before the first run. */
typedef struct lamella_memory {
  uint64_t weights;
  uint64_t arena;
  uint64_t state;
  uint64_t scratch;
} lamella_memory;

LAMELLA_API lamella_status lamella_memory_use(const lamella_session* session,
                                              lamella_memory* memory);

#ifdef __cplusplus
}
#endif

#endif /* LAMELLA_H_ */
