// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64 && go1.24

package pulsews

/*
#cgo noescape pulsego_send
#cgo nocallback pulsego_send
#cgo noescape pulsego_send_with
#cgo nocallback pulsego_send_with
#cgo noescape pulsego_receive
#cgo nocallback pulsego_receive
#cgo noescape pulsego_hub_publish
#cgo nocallback pulsego_hub_publish
#include "native.h"
*/
import "C"
