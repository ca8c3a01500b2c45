// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseTransport
import PulseWire

extension TokenKeys {
  package static let maxSize = 8192

  /// Verifies a JWT (RFC 7519). `now` and `leeway`, at most a day, are seconds. An empty `audience` or `issuer` is not set:
  /// then a token that is for some audience is refused, and one of any issuer taken.
  package func verify(
    _ token: ArraySlice<UInt8>, now: Int64, leeway: Int64, audience: [UInt8] = [], issuer: [UInt8] = []
  ) -> Result<TokenClaims, TokenProblem> {
    guard token.count <= TokenKeys.maxSize, let first = token.firstIndex(of: TokenKeys.dot),
      let last = token.lastIndex(of: TokenKeys.dot), first < last, let header = Base64.decodeURL(token[..<first]),
      let payload = Base64.decodeURL(token[(first &+ 1)..<last]), let signature = Base64.decodeURL(token[(last &+ 1)...]),
      let shown = header.withUnsafeBytes({ TokenHeader.read($0) })
    else { return .failure(.malformed) }
    guard let algorithm = TokenAlgorithm.named(shown.algorithm) else { return .failure(.unknownKey) }
    let verdict = token[..<last].withUnsafeBytes { signed in
      signature.withUnsafeBytes { check(name: shown.key, algorithm: algorithm, signed: signed, signature: $0) }
    }
    switch verdict {
    case .badSignature: return .failure(.badSignature)
    case .unknownKey: return .failure(.unknownKey)
    case .valid: break
    }
    let terms = TokenTerms(now: now, leeway: leeway, audience: audience, issuer: issuer)
    return payload.withUnsafeBytes { TokenClaims.read($0, terms) }
  }

  private static var dot: UInt8 { UInt8(ascii: ".") }
}

/// Of a token's header, what chooses the key. It is read before the signature is known to be right.
private struct TokenHeader {
  var algorithm: [UInt8] = []
  var key: [UInt8]?

  /// nil if it is none, or says what is not understood here.
  static func read(_ text: UnsafeRawBufferPointer) -> TokenHeader? {
    guard var object = TokenObject(text) else { return nil }
    var header = TokenHeader()
    while object.next() {
      if object.isNamed("alg") {
        guard let algorithm = TokenObject.text(object.value) else { return nil }
        header.algorithm = algorithm
      } else if object.isNamed("kid") {
        guard let key = TokenObject.text(object.value) else { return nil }
        header.key = key
      } else if object.isNamed("typ") {
        guard let type = TokenObject.text(object.value), isUnderstood(type[...]) else { return nil }
      } else if object.isNamed("crit") {
        // RFC 7515 §4.1.11: it lists what has to be understood, and nothing of that is here.
        return nil
      }
    }
    return object.isWhole && !header.algorithm.isEmpty ? header : nil
  }

  /// RFC 7519 §5.1, RFC 9068 §2.1.
  private static func isUnderstood(_ type: ArraySlice<UInt8>) -> Bool {
    let name = HTTPText.startsIgnoringCase(type, "application/") ? type.dropFirst(12) : type
    return HTTPText.sameIgnoringCase(name, "jwt") || HTTPText.sameIgnoringCase(name, "at+jwt")
  }
}
