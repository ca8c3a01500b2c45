// SPDX-License-Identifier: Apache-2.0
import PulseText

package enum WireFailureKind: UInt8, Sendable {
  case protocolError, invalidPayload, deflateError, tooBig, noMemory
}

/// Why a connection has to be failed (RFC 6455 §7.1.7).
package struct WireFailure: Sendable {
  package var kind: WireFailureKind
  /// One sentence.
  package var text: Literal

  package init(_ kind: WireFailureKind, _ text: Literal) {
    self.kind = kind
    self.text = text
  }

  /// The code of the close frame that tells the peer (RFC 6455 §7.4.1).
  package var closeCode: UInt16 {
    switch kind {
    case .protocolError: return 1002
    case .invalidPayload, .deflateError: return 1007
    case .tooBig, .noMemory: return 1009
    }
  }
}

package enum CloseCode {
  /// What `close` reports for a close frame without a code (RFC 6455 §7.1.5).
  package static var absent: UInt16 { 1005 }

  /// Whether a close frame may carry the code (RFC 6455 §7.4): defined and not reserved for local use (1004, 1005,
  /// 1006, 1015), registered since (1012 to 1014), or of the ranges for libraries and applications.
  package static func isAllowedOnWire(_ code: UInt16) -> Bool {
    switch code {
    case 1000...1003, 1007...1014, 3000...4999: return true
    default: return false
    }
  }
}
