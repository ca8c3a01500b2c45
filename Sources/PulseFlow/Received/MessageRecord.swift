// SPDX-License-Identifier: Apache-2.0

/// One message of a queue. Its layout is that of `pulsews_message` in the public header, field for field, so that a
/// batch is handed to the caller as it lies here; a test of the ABI compares the two.
package struct MessageRecord {
  package var data: UnsafeRawPointer
  package var length: Int
  package var kind: UInt32
  package var flags: UInt32
  package var receivedAt: Int64
  package var sequence: UInt64

  package init(
    data: UnsafeRawPointer, length: Int, kind: UInt32, flags: UInt32, receivedAt: Int64, sequence: UInt64
  ) {
    self.data = data
    self.length = length
    self.kind = kind
    self.flags = flags
    self.receivedAt = receivedAt
    self.sequence = sequence
  }

  package var payload: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: length) }
}
