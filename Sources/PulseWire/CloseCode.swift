// SPDX-License-Identifier: Apache-2.0

/// Close codes that mean something here (RFC 6455 §7.4.1, and the IANA registry of close codes).
package enum CloseCode {
  package static var normal: UInt16 { 1000 }
  static var protocolError: UInt16 { 1002 }
  static var invalidPayload: UInt16 { 1007 }
  static var tooBig: UInt16 { 1009 }
  package static var serviceRestart: UInt16 { 1012 }
  package static var tryAgainLater: UInt16 { 1013 }
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

/// Those of the hub's own, of the range for applications.
extension CloseCode {
  package static var unauthenticated: UInt16 { 4001 }
  package static var forbidden: UInt16 { 4003 }
  package static var tooSlow: UInt16 { 4008 }
  package static var tokenExpired: UInt16 { 4009 }
  package static var rate: UInt16 { 4029 }
  package static var noSuchPath: UInt16 { 4040 }
}
