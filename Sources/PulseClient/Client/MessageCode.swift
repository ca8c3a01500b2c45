// SPDX-License-Identifier: Apache-2.0
import PulseWire

/// Kinds and flags of messages as the ABI has them.
package enum MessageCode {
  package static var text: UInt32 { 1 }
  package static var binary: UInt32 { 2 }
  package static var ping: UInt32 { 9 }
  package static var pong: UInt32 { 10 }
  package static var event: UInt32 { 256 }
  package static var isASCII: UInt32 { 1 }
  package static var wasCompressed: UInt32 { 2 }
}

extension WireMessage {
  /// As the ABI has them.
  @inline(__always) var flags: UInt32 {
    (isASCII ? MessageCode.isASCII : 0) | (wasCompressed ? MessageCode.wasCompressed : 0)
  }
}
