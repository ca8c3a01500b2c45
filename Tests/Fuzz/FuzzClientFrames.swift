// SPDX-License-Identifier: Apache-2.0

/// The frames of a client, as a server receives them. Input: see `fuzzFrames`.
func fuzzClientFrames(_ bytes: UnsafeRawBufferPointer) {
  fuzzFrames(receiver: .server, bytes)
}
