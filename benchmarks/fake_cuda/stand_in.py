"""Stand-ins for the CUDA runtime and driver, so that torch's CUDA build finds eight devices that do nothing.

Without a device, autograd refuses tensors of `cuda`, including fake ones. A process with the stand-ins must be started
with `environment`, since a library can only be replaced before it is loaded.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

MARK = "LEHR_FAKE_CUDA"
"""Environment variable of a process with the stand-ins."""

RUNTIME = r"""
#include <cstring>

// Offsets into cudaDeviceProp of CUDA 12 and 13: name, memory, shared memory, registers, warp, threads, capability.
static int properties(void* target) {
    char* at = (char*)target;
    memset(at, 0, 800);
    strcpy(at, "stand-in");
    *(unsigned long*)(at + 288) = 80ul << 30;
    *(unsigned long*)(at + 296) = 49152;
    int values[][2] = {{304, 65536}, {308, 32}, {320, 1024}, {324, 1024}, {328, 1024}, {332, 64}, {336, 2147483647},
                       {340, 65535}, {344, 65535}, {360, 9}, {364, 0}};
    for (auto& value : values) *(int*)(at + value[0]) = value[1];
    for (int offset = 368; offset < 440; offset += 4) *(int*)(at + offset) = 132;
    return 0;
}

static char handle[64];

extern "C" {
int cudaGetDeviceProperties(void* target, int) { return properties(target); }
int cudaGetDeviceProperties_v2(void* target, int) { return properties(target); }
const char* cudaGetErrorString(int) { return "no error of a stand-in"; }
int cudaGetDeviceCount(int* count) { *count = 8; return 0; }
int cudaGetDevice(int* device) { *device = 0; return 0; }
int cudaSetDevice(int) { return 0; }
int cudaDriverGetVersion(int* version) { *version = 13000; return 0; }
int cudaGetLastError() { return 0; }
int cudaPeekAtLastError() { return 0; }
int cudaDeviceGetAttribute(int* value, int, int) { *value = 1; return 0; }
int cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    if (least) *least = 0;
    if (greatest) *greatest = 0;
    return 0;
}
int cudaStreamIsCapturing(void*, int* status) { *status = 0; return 0; }
int cudaThreadExchangeStreamCaptureMode(int*) { return 0; }
int cudaDeviceSynchronize() { return 0; }
int cudaStreamSynchronize(void*) { return 0; }
int cudaStreamQuery(void*) { return 0; }
int cudaStreamCreateWithPriority(void** stream, unsigned, int) { *stream = handle; return 0; }
int cudaStreamWaitEvent(void*, void*, unsigned) { return 0; }
int cudaEventCreateWithFlags(void** event, unsigned) { *event = handle; return 0; }
int cudaEventRecord(void*, void*) { return 0; }
int cudaEventRecordWithFlags(void*, void*, unsigned) { return 0; }
int cudaEventQuery(void*) { return 0; }
int cudaEventSynchronize(void*) { return 0; }
int cudaEventDestroy(void*) { return 0; }
}
"""
DRIVER_FUNCTIONS = (
    *("cuCtxGetCurrent", "cuCtxSetCurrent", "cuDeviceGet", "cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain"),
    *("cuFuncGetAttribute", "cuFuncSetAttribute", "cuFuncSetCacheConfig", "cuGetErrorString"),
    *("cuLaunchCooperativeKernel", "cuLaunchKernel", "cuLinkAddData_v2", "cuLinkComplete", "cuLinkCreate_v2"),
    *("cuModuleGetFunction", "cuModuleLoad", "cuModuleLoadData", "cuModuleLoadDataEx", "cuModuleUnload"),
    *("cuOccupancyMaxActiveBlocksPerMultiprocessor", "cuPointerGetAttribute", "cuTensorMapEncodeTiled"),
)
PRIMARY_CONTEXT = """
int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) {
    if (flags) *flags = 0;
    if (active) *active = 0;
    return 0;
}
"""


def missing() -> str | None:
    """Return what is missing here for fake CUDA devices; None if nothing is."""
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None or not (Path(torch.origin).parent / "lib" / "libtorch_cuda.so").is_file():
        return "torch is built without CUDA here"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    if not _has_gpu() and shutil.which("g++") is None:
        return "no g++ to build the stand-in for the CUDA runtime"
    return None


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process with fake CUDA devices: that of this process, extended.

    Args:
        folder: folder in which the stand-ins are built.

    Raises:
        subprocess.CalledProcessError: they cannot be built.
    """
    given = {**os.environ, MARK: str(folder)}
    if _has_gpu():  # its runtime is there; nothing is launched on it
        return given
    functions = "\n".join(f"int {name}() {{ return 0; }}" for name in DRIVER_FUNCTIONS)
    driver = f'extern "C" {{\n{functions}\n{PRIMARY_CONTEXT}}}\n'
    runtime = _built(folder / "runtime.so", RUNTIME)
    _built(folder / "libcuda.so.1", driver, "-Wl,-soname,libcuda.so.1")
    path = ":".join(filter(None, (str(folder), os.environ.get("LD_LIBRARY_PATH"))))
    return {**given, "LD_PRELOAD": str(runtime), "LD_LIBRARY_PATH": path}


def _built(library: Path, source: str, *options: str) -> Path:
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(library), *options]
    subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    return library


def _has_gpu() -> bool:
    return Path("/dev/nvidia0").exists()
