// SPDX-License-Identifier: Apache-2.0

/// The kinds of data messages; raw values are the opcodes of RFC 6455 §5.2.
package enum MessageKind: UInt8, Sendable {
  case text = 1
  case binary = 2
}

/// One whole message.
package struct WireMessage {
  package var kind: MessageKind
  /// Valid until the next call of `receive`, and no longer than the chunk of the call that gave it.
  package var payload: UnsafeRawBufferPointer
  /// A text of ASCII only; false for binary.
  package var isASCII: Bool
  /// The peer had compressed it.
  package var wasCompressed: Bool
}

/// What `WireConnection.receive` found next. Buffers are valid as `WireMessage.payload`.
package enum WireEvent {
  /// The chunk is used up.
  case needMoreBytes
  case message(WireMessage)
  case ping(UnsafeRawBufferPointer)
  case pong(UnsafeRawBufferPointer)
  /// The code is 1005 if the close frame had no body. Everything after it is ignored.
  case close(code: UInt16, reason: UnsafeRawBufferPointer)
  /// The peer broke the protocol: nothing more is read, and every further call gives this again.
  case failure(WireFailure)
}
