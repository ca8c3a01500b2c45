// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// The signature algorithms of tokens (RFC 7518 §3.1, RFC 8037).
package enum TokenAlgorithm: UInt8, Sendable {
  case hs256, rs256, es256, edDSA

  /// As a token's header and the settings have it; the case of its letters counts.
  @inline(never) package static func named(_ name: [UInt8]) -> TokenAlgorithm? {
    func isIt(_ text: Literal) -> Bool { name.count == text.count && text.begins(name[...]) }
    if isIt("HS256") { return .hs256 }
    if isIt("RS256") { return .rs256 }
    if isIt("ES256") { return .es256 }
    return isIt("EdDSA") ? .edDSA : nil
  }
}

/// The keys that tokens are verified with. The algorithm belongs to the key, never to the token.
package final class TokenKeys: @unchecked Sendable {  // keys are added before it is shared
  package enum Check: UInt8, Sendable {
    case valid, badSignature
    /// There is no key of that name and algorithm.
    case unknownKey
  }

  /// A token without a name is tried with every key of its algorithm.
  package static let maxKeys = 32
  package static let maxNameSize = 256

  private final class Key {
    let name: [UInt8]
    let algorithm: TokenAlgorithm
    let handle: OpaquePointer

    init(_ name: [UInt8], _ algorithm: TokenAlgorithm, _ handle: OpaquePointer) {
      self.name = name
      self.algorithm = algorithm
      self.handle = handle
    }

    deinit { psys_token_key_free(handle) }
  }

  private var keys: [Key] = []

  package init() {}

  package var isEmpty: Bool { keys.isEmpty }

  /// `material`: the secret itself for HS256, else a public key or a certificate in PEM, of which neither the dates nor
  /// the issuer are looked at. Why not, or nil.
  package func add(name: [UInt8], algorithm: [UInt8], material: [UInt8]) -> String? {
    guard let kind = TokenAlgorithm.named(algorithm) else {
      return sentence("\(quoted: algorithm[...]) is no algorithm for tokens; there are HS256, RS256, ES256 and EdDSA")
    }
    if name.isEmpty || name.count > TokenKeys.maxNameSize { return sentence("the name of a key has 1 to 256 bytes") }
    if keys.count >= TokenKeys.maxKeys { return sentence("there may be at most \(TokenKeys.maxKeys) keys") }
    for key in keys where key.name == name { return sentence("there are two keys of the name \(quoted: name[...])") }
    var why: UnsafePointer<CChar>?
    let made = material.withUnsafeBytes { psys_token_key_make(Int32(kind.rawValue), $0.baseAddress, $0.count, &why) }
    guard let made else {
      let cause = why.map { String(cText: $0) } ?? ""
      return sentence("the key \(quoted: name[...]) can't be used for \(quoted: algorithm[...]): \(cause)")
    }
    keys.append(Key(name, kind, made))
    return nil
  }

  /// Tries the key of that name, or without a name every key of the algorithm.
  package func check(
    name: [UInt8]?, algorithm: TokenAlgorithm, signed: UnsafeRawBufferPointer, signature: UnsafeRawBufferPointer
  ) -> Check {
    var result = Check.unknownKey
    for key in keys {
      if key.algorithm != algorithm { continue }
      if let name, key.name != name { continue }
      if psys_token_check(key.handle, signed.baseAddress, signed.count, signature.baseAddress, signature.count) != 0 {
        return .valid
      }
      result = .badSignature
    }
    return result
  }
}
