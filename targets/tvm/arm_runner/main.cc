// Runs a program that lamella lowered for TVM on a machine without Python.
//
// usage: arm_runner SCRIPT
//
// SCRIPT is a text file, one command a line, words separated by blanks:
//   library PATH                               the shared library, first of all
//   parameters PATH                            the file that holds the packed weights
//   parameter DTYPE OFFSET RANK SIZE...        the next parameter, at a byte offset in that file
//   input DTYPE PATH RANK SIZE...              the next input of the coming run, as raw bytes
//   run PREFIX                                 runs; output i goes to PREFIX.i as raw bytes
// For each output one line is printed: PREFIX.i DTYPE RANK SIZE...
// What fails is told in one sentence on stderr, and the exit status is 1.

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace ffi = tvm::ffi;

constexpr DLDevice kCpu{kDLCPU, 0};
// Compiled code loads whole vectors and relies on this alignment.
constexpr std::size_t kAlignment = 64;
// The allocator of TVM's virtual machine that keeps freed memory for the next run.
constexpr int kPooledAllocator = 2;

struct AlignedMemory {
  void AllocData(DLTensor* tensor) {
    const std::size_t bytes = ffi::GetDataSize(*tensor);
    tensor->data = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
    if (tensor->data == nullptr) {
      throw std::runtime_error("out of memory: " + std::to_string(bytes) + " bytes");
    }
  }
  void FreeData(DLTensor* tensor) { std::free(tensor->data); }
};

// Reads "RANK SIZE..." from a line.
std::vector<std::int64_t> ReadShape(std::istringstream& line) {
  std::size_t rank = 0;
  if (!(line >> rank) || rank > 16) throw std::runtime_error("a rank is missing or above 16");
  std::vector<std::int64_t> shape(rank);
  for (std::int64_t& size : shape) {
    if (!(line >> size) || size < 0) throw std::runtime_error("a size is missing or negative");
  }
  return shape;
}

// Reads a tensor's bytes from a file, starting at `offset`.
ffi::Tensor ReadTensor(const std::string& path, std::int64_t offset, const std::string& dtype,
                       const std::vector<std::int64_t>& shape) {
  ffi::Tensor tensor =
      ffi::Tensor::FromNDAlloc(AlignedMemory(), ffi::ShapeView(shape.data(), shape.size()),
                               ffi::StringToDLDataType(dtype), kCpu);
  std::ifstream file(path, std::ios::binary);
  file.seekg(offset);
  const auto bytes = static_cast<std::streamsize>(ffi::GetDataSize(*tensor.GetDLTensorPtr()));
  file.read(static_cast<char*>(tensor.data_ptr()), bytes);
  if (file.gcount() != bytes) {
    throw std::runtime_error(path + " holds fewer than " + std::to_string(bytes) +
                             " bytes from offset " + std::to_string(offset));
  }
  return tensor;
}

void WriteTensor(const std::string& path, const ffi::Tensor& tensor) {
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(tensor.data_ptr()),
             static_cast<std::streamsize>(ffi::GetDataSize(*tensor.GetDLTensorPtr())));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
  std::cout << path << ' ' << ffi::DLDataTypeToString(tensor.dtype()) << ' ' << tensor.ndim();
  for (int axis = 0; axis < tensor.ndim(); ++axis) std::cout << ' ' << tensor.size(axis);
  std::cout << '\n';
}

class Session {
 public:
  // Carries out one line of the script.
  void Execute(const std::string& text) {
    std::istringstream line(text);
    std::string verb, path, dtype;
    line >> verb;
    if (verb == "library" && line >> path) {
      Open(path);
    } else if (verb == "parameters" && line >> parameters_path_) {
      return;
    } else if (verb == "parameter") {
      std::int64_t offset = 0;
      if (!(line >> dtype >> offset)) throw std::runtime_error("a word is missing: " + text);
      parameters_.push_back(ReadTensor(parameters_path_, offset, dtype, ReadShape(line)));
    } else if (verb == "input" && line >> dtype >> path) {
      inputs_.push_back(ReadTensor(path, 0, dtype, ReadShape(line)));
    } else if (verb == "run" && line >> path) {
      Run(path);
    } else {
      throw std::runtime_error("not a command: " + text);
    }
  }

 private:
  void Open(const std::string& path) {
    library_ = ffi::Module::LoadFromFile(path);
    machine_ = (*library_)->GetFunction("vm_load_executable").value()().cast<ffi::Module>();
    (*machine_)
        ->GetFunction("vm_initialization")
        .value()(static_cast<int>(kCpu.device_type), kCpu.device_id, kPooledAllocator);
  }

  void Run(const std::string& prefix) {
    if (!machine_) throw std::runtime_error("the script names no library before its first run");
    std::vector<ffi::AnyView> arguments(inputs_.begin(), inputs_.end());
    arguments.insert(arguments.end(), parameters_.begin(), parameters_.end());
    ffi::Any result;
    (*machine_)->GetFunction("main").value().CallPacked(
        arguments.data(), static_cast<std::int32_t>(arguments.size()), &result);
    inputs_.clear();
    if (auto tensor = result.try_cast<ffi::Tensor>()) {
      WriteTensor(prefix + ".0", *tensor);
      return;
    }
    const auto tensors = result.cast<ffi::Array<ffi::Tensor>>();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      WriteTensor(prefix + "." + std::to_string(i), tensors[i]);
    }
  }

  // Members are destroyed in reverse order: tensors before the machine that allocated them.
  ffi::Optional<ffi::Module> library_;
  ffi::Optional<ffi::Module> machine_;
  std::string parameters_path_;
  std::vector<ffi::Tensor> parameters_;
  std::vector<ffi::Tensor> inputs_;
};

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::cerr << "usage: arm_runner SCRIPT\n";
    return 1;
  }
  try {
    std::ifstream script(words[1]);
    if (!script) throw std::runtime_error(std::string("cannot read ") + words[1]);
    Session session;
    for (std::string line; std::getline(script, line);) {
      if (!line.empty()) session.Execute(line);
    }
  } catch (const std::exception& error) {
    std::cerr << "arm_runner: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
