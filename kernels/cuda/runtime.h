// SPDX-License-Identifier: Apache-2.0
// CUDA's runtime, or the stand-in for it that runs kernels on the host.
#pragma once

#ifdef SDAR_CUDA_ON_HOST
#include "kernels/cuda/on_host/cuda_on_host.h"
#else
#include <cuda_runtime.h>
#endif
