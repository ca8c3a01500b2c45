// SPDX-License-Identifier: Apache-2.0

/// The frames of a server, as a client receives them. Input: see `fuzzFrames`.
func fuzzServerFrames(_ bytes: UnsafeRawBufferPointer) {
  fuzzFrames(receiver: .client, bytes)
}
