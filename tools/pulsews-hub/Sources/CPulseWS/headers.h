/* SPDX-License-Identifier: Apache-2.0 */
/* The library's public headers, as they stand in this repository. */
#include "../../../../include/pulsews.h"
#include "../../../../include/pulsews_hub.h"
