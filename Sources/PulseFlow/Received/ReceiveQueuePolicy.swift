// SPDX-License-Identifier: Apache-2.0

/// What a full queue of received messages does.
package enum ReceiveQueuePolicy: UInt8, Sendable {
  /// Reading pauses until half of it is free.
  case pause
  /// The oldest messages make room.
  case dropOldest
  /// Of each key only the latest message stays; then as `dropOldest`.
  case conflate
  /// The connection is left until half of it is free.
  case disconnect

  /// The queue discards messages when it is full.
  package var makesRoom: Bool { self == .dropOldest || self == .conflate }
}
