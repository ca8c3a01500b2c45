// SPDX-License-Identifier: Apache-2.0

//go:build cgo && linux && amd64 && pulsews_link

package pulsews

// linked says whether the library was linked when the program was built.
const linked = true
