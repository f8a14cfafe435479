#include "modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <string>

#include "context.h"
#include "faults.h"
#include "state.h"

namespace emu {

namespace {

#if defined(__x86_64__)
constexpr unsigned MACHINE = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned MACHINE = EM_AARCH64;
#else
#error "the emulated driver is written for x86-64 and aarch64"
#endif

std::map<Handle, std::shared_ptr<Module>> modules;
std::map<Handle, std::shared_ptr<Kernel>> kernels;

const Elf64_Ehdr *header_of(const void *image) { return static_cast<const Elf64_Ehdr *>(image); }

bool for_this_machine(const void *image) {
  const Elf64_Ehdr *const header = header_of(image);
  return !std::memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_machine == MACHINE;
}

size_t size_of(const void *image) {  // the section table ends the file
  const Elf64_Ehdr *const header = header_of(image);
  return header->e_shoff + size_t(header->e_shentsize) * header->e_shnum;
}

// __shared__ variables are the only ones without an initial value in a module (see cuda_emu.h): they are its .bss.
void find_shared(Module &module, const void *image) {
  const char *const bytes = static_cast<const char *>(image);
  const Elf64_Ehdr *const header = header_of(image);
  const auto *sections = reinterpret_cast<const Elf64_Shdr *>(bytes + header->e_shoff);
  const char *const names = bytes + sections[header->e_shstrndx].sh_offset;
  link_map *map = nullptr;
  dlinfo(module.object, RTLD_DI_LINKMAP, &map);
  for (unsigned i = 0; map && i < header->e_shnum; i++) {
    if (std::strcmp(names + sections[i].sh_name, ".bss") != 0) continue;
    module.shared = reinterpret_cast<char *>(map->l_addr + sections[i].sh_addr);
    module.shared_size = sections[i].sh_size;
  }
}

// dlopen knows an object by its name, so each image gets a file of its own; it is gone as soon as it is open.
void *open_image(const void *image) {
  const char *folder = std::getenv("TMPDIR");
  std::string path = std::string(folder && *folder ? folder : P_tmpdir) + "/plugrad-emu-XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) return nullptr;
  const size_t size = size_of(image);
  const bool written = write(file, image, size) == static_cast<ssize_t>(size);
  close(file);
  void *const object = written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  unlink(path.c_str());
  return object;
}

std::shared_ptr<Module> module_of(Handle handle) {
  const auto found = modules.find(handle);
  return found == modules.end() ? nullptr : found->second;
}

int load(Handle *out, const void *image) {
  if (!for_this_machine(image))
    return refuse(NO_BINARY_FOR_GPU, "module", "the code is not for this processor (a real cubin cannot run here)");
  const auto module = std::make_shared<Module>();
  module->object = open_image(image);
  if (!module->object) {
    const char *const reason = dlerror();
    return refuse(NO_BINARY_FOR_GPU, "module", reason ? reason : "the code cannot be written to a temporary file");
  }
  module->table = static_cast<const EmuModule *>(dlsym(module->object, "emu_module"));
  if (!module->table || module->table->abi != EMU_ABI)
    return refuse(NO_BINARY_FOR_GPU, "module", "the code was not made by this version of HostToolchain");
  find_shared(*module, image);
  modules[*out = module.get()] = module;
  return SUCCESS;
}

int find_kernel(Handle *out, Handle module_handle, const char *name) {
  const auto module = module_of(module_handle);
  if (!module) return INVALID_HANDLE;
  for (const auto &[handle, kernel] : kernels)
    if (kernel->module == module && !std::strcmp(kernel->entry->name, name)) return *out = handle, SUCCESS;
  for (unsigned i = 0; i < module->table->kernels; i++) {
    const EmuKernel &entry = module->table->kernel[i];
    if (std::strcmp(entry.name, name) != 0) continue;
    const auto kernel = std::make_shared<Kernel>(Kernel{module, &entry, limit::shared_default});
    kernels[*out = kernel.get()] = kernel;
    return SUCCESS;
  }
  return refuse(NOT_FOUND, "module", std::string("the module has no kernel named ") + name);
}

int unload(Handle handle) {
  const auto module = module_of(handle);
  if (!module) return INVALID_HANDLE;
  for (auto kernel = kernels.begin(); kernel != kernels.end();)
    kernel = kernel->second->module == module ? kernels.erase(kernel) : std::next(kernel);
  modules.erase(handle);
  return SUCCESS;
}

int kernel_attribute(int *value, int attribute, Handle handle) {
  const auto kernel = kernel_of(handle);
  if (!kernel) return INVALID_HANDLE;
  switch (attribute) {
    case 0: *value = static_cast<int>(kernel->entry->threads); break;
    case 1: *value = static_cast<int>(kernel->module->shared_size); break;  // of all kernels of the module together
    case 4: *value = 32; break;                                            // registers: unknown here
    case 5: case 6: *value = 90; break;                                    // PTX and binary version
    case 8: *value = static_cast<int>(kernel->dynamic_limit); break;
    default: *value = 0;
  }
  return SUCCESS;
}

int set_kernel_attribute(int attribute, int value, Handle handle) {
  const auto kernel = kernel_of(handle);
  if (!kernel) return INVALID_HANDLE;
  if (attribute != 8) return SUCCESS;
  if (value < 0 || unsigned(value) > limit::shared_opt_in)
    return refuse(INVALID_VALUE, "launch", "dynamic shared memory above " + std::to_string(limit::shared_opt_in) +
                  " bytes: " + std::to_string(value), kernel->entry->name);
  kernel->dynamic_limit = static_cast<unsigned>(value);
  return SUCCESS;
}

int parameter_info(Handle handle, size_t index, size_t *offset, size_t *size) {
  const auto kernel = kernel_of(handle);
  if (!kernel) return INVALID_HANDLE;
  const EmuKernel &entry = *kernel->entry;
  if (index >= entry.parameters) return INVALID_VALUE;
  size_t at = 0;
  for (size_t i = 0;; at += entry.sizes[i++]) {
    at = (at + entry.alignments[i] - 1) / entry.alignments[i] * entry.alignments[i];
    if (i == index) break;
  }
  *offset = at;
  if (size) *size = entry.sizes[index];
  return SUCCESS;
}

}  // namespace

Module::~Module() {
  if (object) dlclose(object);
}

std::shared_ptr<Kernel> kernel_of(Handle handle) {
  const auto found = kernels.find(handle);
  return found == kernels.end() ? nullptr : found->second;
}

}  // namespace emu

using namespace emu;

API(cuLibraryLoadData, Handle *out, const void *image, int *, void **, unsigned, int *, void **, unsigned) {
  IN_CONTEXT;
  return load(out, image);
}

API(cuModuleLoadData, Handle *out, const void *image) {
  IN_CONTEXT;
  return load(out, image);
}

API(cuLibraryUnload, Handle module) {
  Lock lock;
  return unload(module);
}

API(cuModuleUnload, Handle module) {
  Lock lock;
  return unload(module);
}

API(cuLibraryGetKernelCount, unsigned *count, Handle handle) {
  Lock lock;
  const auto module = module_of(handle);
  if (!module) return INVALID_HANDLE;
  *count = module->table->kernels;
  return SUCCESS;
}

API(cuLibraryGetModule, Handle *out, Handle module) {
  Lock lock;
  *out = module;
  return module_of(module) ? SUCCESS : INVALID_HANDLE;
}

API(cuLibraryGetKernel, Handle *out, Handle module, const char *name) {
  IN_CONTEXT;
  return find_kernel(out, module, name);
}

API(cuModuleGetFunction, Handle *out, Handle module, const char *name) {
  IN_CONTEXT;
  return find_kernel(out, module, name);
}

API(cuKernelGetFunction, Handle *out, Handle kernel) {
  Lock lock;
  *out = kernel;
  return kernel_of(kernel) ? SUCCESS : INVALID_HANDLE;
}

API(cuKernelGetLibrary, Handle *out, Handle handle) {
  Lock lock;
  const auto kernel = kernel_of(handle);
  if (!kernel) return INVALID_HANDLE;
  *out = kernel->module.get();
  return SUCCESS;
}

API(cuFuncGetModule, Handle *out, Handle kernel) { return cuKernelGetLibrary_v0(out, kernel); }

API(cuKernelGetName, const char **name, Handle handle) {
  Lock lock;
  const auto kernel = kernel_of(handle);
  if (!kernel) return INVALID_HANDLE;
  *name = kernel->entry->name;
  return SUCCESS;
}

API(cuFuncGetName, const char **name, Handle kernel) { return cuKernelGetName_v0(name, kernel); }

API(cuKernelGetAttribute, int *value, int attribute, Handle kernel, CUdevice) {
  Lock lock;
  return kernel_attribute(value, attribute, kernel);
}

API(cuFuncGetAttribute, int *value, int attribute, Handle kernel) {
  Lock lock;
  return kernel_attribute(value, attribute, kernel);
}

API(cuKernelSetAttribute, int attribute, int value, Handle kernel, CUdevice) {
  Lock lock;
  return set_kernel_attribute(attribute, value, kernel);
}

API(cuFuncSetAttribute, Handle kernel, int attribute, int value) {
  Lock lock;
  return set_kernel_attribute(attribute, value, kernel);
}

API(cuKernelGetParamInfo, Handle kernel, size_t index, size_t *offset, size_t *size) {
  Lock lock;
  return parameter_info(kernel, index, offset, size);
}

API(cuFuncGetParamInfo, Handle kernel, size_t index, size_t *offset, size_t *size) {
  Lock lock;
  return parameter_info(kernel, index, offset, size);
}

static int blocks_for(int threads, size_t dynamic) {
  if (threads < 1) return 0;
  const int by_threads = 2048 / threads, by_shared = static_cast<int>(limit::shared_multiprocessor / (dynamic + 1024));
  return by_threads < by_shared ? by_threads : by_shared;
}

API(cuOccupancyMaxActiveBlocksPerMultiprocessor, int *blocks, Handle, int threads, size_t dynamic) {
  *blocks = blocks_for(threads, dynamic);
  return SUCCESS;
}

API(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, int *blocks, Handle, int threads, size_t dynamic, unsigned) {
  *blocks = blocks_for(threads, dynamic);
  return SUCCESS;
}

API(cuOccupancyMaxPotentialBlockSize, int *grid, int *block, Handle, void *, size_t, int) {
  *grid = 264;
  *block = limit::threads;
  return SUCCESS;
}
