// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseWire

extension WireMessage {
  /// As the ABI has them.
  @inline(__always) var flags: UInt32 {
    (isASCII ? MessageCode.isASCII : 0) | (wasCompressed ? MessageCode.wasCompressed : 0)
  }

  func arrival(_ receivedAt: Int64) -> Inbound.Arrival {
    Inbound.Arrival(kind: UInt32(kind.rawValue), flags: flags, payload: payload, receivedAt: receivedAt)
  }
}
