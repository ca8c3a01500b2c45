// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64 && !cgo

package pulsews

// The compiler's message is this name: all other files are left out of such a build, so that it stands alone.
var _ = pulsews_needs_cgo__set_CGO_ENABLED_1_and_install_a_C_compiler
