// SPDX-License-Identifier: Apache-2.0

module pulsews.dev/go

go 1.21
