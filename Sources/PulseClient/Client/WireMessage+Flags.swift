// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseWire

extension WireMessage {
  /// As the ABI has them.
  @inline(__always) var flags: UInt32 {
    (isASCII ? MessageCode.isASCII : 0) | (wasCompressed ? MessageCode.wasCompressed : 0)
  }
}
