// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys
import PulseText

/// What went wrong, in words. They are put together in C, where the certificates are at hand.
extension TLSStream {
  /// The handshake failed, or the connection did after it.
  func fail(_ ssl: OpaquePointer, _ reason: Int32, _ text: String, _ wasHandshaking: Bool) {
    var words = [CChar](repeating: 0, count: 1024)
    var flags: Int32 = wasHandshaking ? Int32(PSYS_TLS_IS_HANDSHAKE) : 0
    if let rules = target?.rules {
      if rules.requires13 { flags |= Int32(PSYS_TLS_REQUIRES_13) }
      if !rules.hasTrust { flags |= Int32(PSYS_TLS_HAS_NO_TRUST) }
    }
    let kind = psys_tls_explain(
      ssl, reason, text.cString, flags, peer.cString, (target?.name ?? peer).cString, &words, words.count)
    let code = TransportErrorCode(rawValue: TransportErrorCode.tls.rawValue &+ UInt8(truncatingIfNeeded: kind)) ?? .tls
    fail(code, "\(PulseTransport.text(of: words))")
  }

  /// For an end without a reason.
  var askedHint: String {
    guard let ssl = handle else { return "" }
    return String(cText: psys_tls_asked_hint(ssl))
  }
}
