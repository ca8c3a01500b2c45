// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseWire

/// What a verified token grants.
package struct TokenClaims: Equatable, Sendable {
  /// `sub`; empty without one. At most 256 bytes of UTF-8 without control characters.
  package var user: [UInt8] = []
  /// `exp`, in seconds since 1970.
  package var expires: Int64 = 0
  /// Patterns of the topics that may be subscribed to, as they stand in the claim; nil: the token does not say.
  package var topics: [[UInt8]]?
  /// Patterns of the topics that may be published to.
  package var publish: [[UInt8]] = []
  /// All of them, as the JSON object that was signed.
  package var text: [UInt8] = []

  package init() {}
}

/// Why a token is refused.
package enum TokenProblem: UInt8, Error, Sendable {
  case malformed, badSignature, unknownKey, expired, notYetValid, wrongAudience, wrongIssuer, noExpiry

  /// For programs: a word that stays the same.
  package var code: Literal {
    switch self {
    case .malformed: "token_malformed"
    case .badSignature: "token_bad_signature"
    case .unknownKey: "token_unknown_key"
    case .expired: "token_expired"
    case .notYetValid: "token_not_yet_valid"
    case .wrongAudience: "token_wrong_audience"
    case .wrongIssuer: "token_wrong_issuer"
    case .noExpiry: "token_no_expiry"
    }
  }

  /// For people. It never quotes the token.
  package var sentence: Literal {
    switch self {
    case .malformed: "the token is not a JSON web token that is understood here"
    case .badSignature: "the token's signature is not one of the keys known here"
    case .unknownKey: "no key known here has the token's key name (kid) and algorithm (alg)"
    case .expired: "the token has expired"
    case .notYetValid: "the token is not valid yet (nbf)"
    case .wrongAudience: "the token is not for the audience (aud) that is expected here"
    case .wrongIssuer: "the token is not from the issuer (iss) that is expected here"
    case .noExpiry: "the token has no time at which it expires (exp)"
    }
  }
}

/// What a token's claims are held against.
struct TokenTerms {
  let now: Int64
  let leeway: Int64
  let audience: [UInt8]
  let issuer: [UInt8]
}

extension TokenClaims {
  static let maxPatterns = 256
  static let maxText = 256

  /// The end of the year 9999. A time in milliseconds is above it.
  static let lastTime: Int64 = 253_402_300_799
  private static let mostLeeway: Int64 = 86_400

  /// `payload`: of a token whose signature is right.
  static func read(_ payload: UnsafeRawBufferPointer, _ terms: TokenTerms) -> Result<TokenClaims, TokenProblem> {
    guard var object = TokenObject(payload) else { return .failure(.malformed) }
    var claims = TokenClaims()
    claims.text = Array(payload)
    var hasExpiry = false
    var begins: Int64 = 0
    var isForAudience: Bool?
    var isFromIssuer: Bool?
    while object.next() {
      let value = object.value
      var isRight = true
      if object.isNamed("exp") {
        hasExpiry = true
        isRight = time(value, &claims.expires)
      } else if object.isNamed("nbf") {
        isRight = time(value, &begins)
      } else if object.isNamed("sub") {
        isRight = name(value, &claims.user)
      } else if object.isNamed("iss") {
        guard let issuer = TokenObject.text(value) else { return .failure(.malformed) }
        isFromIssuer = issuer == terms.issuer
      } else if object.isNamed("aud") {
        guard let found = audience(value, terms.audience) else { return .failure(.malformed) }
        isForAudience = found
      } else if object.isNamed("topics") {
        claims.topics = patterns(value)
        isRight = claims.topics != nil
      } else if object.isNamed("publish") {
        guard let patterns = patterns(value) else { return .failure(.malformed) }
        claims.publish = patterns
      }
      if !isRight { return .failure(.malformed) }
    }
    if !object.isWhole { return .failure(.malformed) }
    if !hasExpiry { return .failure(.noExpiry) }
    let leeway = min(max(terms.leeway, 0), mostLeeway)
    if terms.now >= claims.expires &+ leeway { return .failure(.expired) }
    if terms.now < begins &- leeway { return .failure(.notYetValid) }
    // RFC 7519 §4.1.3: whoever is not named has to refuse a token that names somebody.
    if !(isForAudience ?? terms.audience.isEmpty) { return .failure(.wrongAudience) }
    if !terms.issuer.isEmpty, isFromIssuer != true { return .failure(.wrongIssuer) }
    return .success(claims)
  }

  /// Seconds from 1970 to the year 9999; RFC 7519 §2 allows a fraction, which is left out.
  private static func time(_ value: UnsafeRawBufferPointer, _ time: inout Int64) -> Bool {
    if value.isEmpty || value.count > 40 { return false }
    time = 0
    var isFraction = false
    for index in 0..<value.count {
      if !isFraction, index > 0, value[index] == UInt8(ascii: ".") {
        isFraction = true
        continue
      }
      let digit = value[index] &- UInt8(ascii: "0")
      if digit > 9 || (!isFraction && index >= 12) { return false }
      if !isFraction { time = time &* 10 &+ Int64(digit) }
    }
    return time <= lastTime
  }

  /// A text without control characters, which may stand in a log.
  @inline(never) private static func name(_ value: UnsafeRawBufferPointer, _ name: inout [UInt8]) -> Bool {
    guard let text = TokenObject.text(value), text.count <= maxText else { return false }
    for byte in text where byte < 0x20 || byte == 0x7F { return false }
    name = text
    return true
  }

  /// Whether a text, or one of an array of texts, is the one that is expected; nil if it is something else. Nobody is
  /// expected by an empty text.
  private static func audience(_ value: UnsafeRawBufferPointer, _ expected: [UInt8]) -> Bool? {
    if let text = TokenObject.text(value) { return text == expected && !expected.isEmpty }
    var scanner = JSONScanner(value)
    if scanner.next() != UInt8(ascii: "[") || !scanner.enter() { return nil }
    var isFound = false
    while scanner.nextElement() == .item {
      guard let element = scanner.readValue(), let text = TokenObject.text(element) else { return nil }
      if text == expected, !expected.isEmpty { isFound = true }
    }
    return isFound
  }

  /// nil unless it is an array of at most 256 texts, each as a name and not empty.
  private static func patterns(_ value: UnsafeRawBufferPointer) -> [[UInt8]]? {
    var scanner = JSONScanner(value)
    if scanner.next() != UInt8(ascii: "[") || !scanner.enter() { return nil }
    var list: [[UInt8]] = []
    while scanner.nextElement() == .item {
      var pattern: [UInt8] = []
      guard let element = scanner.readValue(), name(element, &pattern), !pattern.isEmpty, list.count < maxPatterns else {
        return nil
      }
      list.append(pattern)
    }
    return list
  }
}

/// The members of a JSON object, one after the other; no name may be there twice (RFC 7519 §4).
struct TokenObject {
  static let maxMembers = 128

  private var scanner: JSONScanner
  private var names: [[UInt8]] = []
  /// Of the present member, as it stands in the text.
  private(set) var value = UnsafeRawBufferPointer(start: nil, count: 0)
  /// Nothing but an object was there.
  private(set) var isWhole = false

  init?(_ text: UnsafeRawBufferPointer) {
    scanner = JSONScanner(text)
    if !isValidUTF8(text) || scanner.next() != UInt8(ascii: "{") || !scanner.enter() { return nil }
  }

  /// Goes to the next member. False behind the last one, and where something is wrong.
  @inline(never) mutating func next() -> Bool {
    var raw = JSONString.empty
    switch scanner.nextMember(&raw) {
    case .invalid: return false
    case .end:
      isWhole = scanner.isAtEnd()
      return false
    case .item: break
    }
    var name: [UInt8] = []
    raw.append(to: &name)
    guard let read = scanner.readValue(), names.count < TokenObject.maxMembers else { return false }
    for other in names where other == name { return false }
    names.append(name)
    value = read
    return true
  }

  @inline(never) func isNamed(_ name: Literal) -> Bool {
    guard let last = names.last else { return false }
    return HTTPText.same(last[...], name)
  }

  /// What a value stands for if it is a text. One with a lone surrogate is none.
  @inline(never) static func text(_ value: UnsafeRawBufferPointer) -> [UInt8]? {
    if value.count < 2 || value[0] != UInt8(ascii: "\"") { return nil }
    var text: [UInt8] = []
    JSONString(raw: value.unquoted, hasEscapes: true).append(to: &text)
    return text.withUnsafeBytes { isValidUTF8($0) } ? text : nil
  }
}
