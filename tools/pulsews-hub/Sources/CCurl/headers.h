/* SPDX-License-Identifier: Apache-2.0 */
/* Debian's libcurl4-openssl-dev. */
#include <curl/curl.h>
