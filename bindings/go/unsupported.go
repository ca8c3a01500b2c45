// SPDX-License-Identifier: Apache-2.0

//go:build !(linux && amd64)

package pulsews

// The compiler's message is this name: all other files are left out of such a build, so that it stands alone.
var _ = pulsews_is_for_linux_on_amd64_only
