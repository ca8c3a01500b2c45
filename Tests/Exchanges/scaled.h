/* SPDX-License-Identifier: Apache-2.0
 *
 * A preset on the simulators' clocks: what lasts an hour or more is divided by `scale`, what is shorter by `pace`.
 */
#ifndef SCALED_H
#define SCALED_H

#include <pulsews.h>

extern double scale, pace;

/* Real seconds for simulated ones. */
double real_time(double seconds);
/* The options of a preset, line by line, but for those that are set in `without` ("name=value", NULL at the end, or
 * NULL), and those defaults that are times of the same kind; the process ends if one is not taken. */
void set_preset(pulsews_config *config, const char *preset, const char *const *without);
/* One option "name=value", as it is. */
void set_option(pulsews_config *config, const char *option);
/* Whether the preset has an option. */
int preset_has(const char *preset, const char *option);

#endif
