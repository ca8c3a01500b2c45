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
    case .protocolError: return CloseCode.protocolError
    case .invalidPayload, .deflateError: return CloseCode.invalidPayload
    case .tooBig, .noMemory: return CloseCode.tooBig
    }
  }
}
