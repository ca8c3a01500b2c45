// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Foundation
import PulseServe
import PulseText
import PulseTransport
import Testing

/// A key that signs tokens, made for this run.
final class SigningKey: @unchecked Sendable {  // OpenSSL counts references itself, and nothing changes it
  enum Kind { case rsa(Int32), ec(Int32), ed25519 }

  static let rsa = SigningKey(.rsa(2048))
  static let p256 = SigningKey(.ec(NID_X9_62_prime256v1))
  static let ed25519 = SigningKey(.ed25519)

  private let key: OpaquePointer?

  init(_ kind: Kind) {
    let id =
      switch kind {
      case .rsa: EVP_PKEY_RSA
      case .ec: EVP_PKEY_EC
      case .ed25519: EVP_PKEY_ED25519
      }
    let context = EVP_PKEY_CTX_new_id(id, nil)
    defer { EVP_PKEY_CTX_free(context) }
    EVP_PKEY_keygen_init(context)
    if case .rsa(let bits) = kind { EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) }
    if case .ec(let curve) = kind { EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, curve) }
    var made: OpaquePointer?
    EVP_PKEY_keygen(context, &made)
    #expect(made != nil)
    key = made
  }

  deinit { EVP_PKEY_free(key) }

  var publicPEM: [UInt8] { Self.pem { PEM_write_bio_PUBKEY($0, key) } }

  var privatePEM: [UInt8] { Self.pem { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) } }

  var certificatePEM: [UInt8] {
    let certificate = X509_new()
    defer { X509_free(certificate) }
    X509_set_version(certificate, 2)
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0)
    X509_gmtime_adj(X509_getm_notAfter(certificate), 60)
    X509_set_pubkey(certificate, key)
    X509_sign(certificate, key, EVP_sha256())
    return Self.pem { PEM_write_bio_X509($0, certificate) }
  }

  /// As OpenSSL gives it: of P-256 in DER.
  func sign(_ bytes: [UInt8]) -> [UInt8] {
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    let digest = EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 ? nil : EVP_sha256()
    var size = 4096
    var signature = [UInt8](repeating: 0, count: size)
    #expect(EVP_DigestSignInit(context, nil, digest, nil, key) == 1)
    #expect(EVP_DigestSign(context, &signature, &size, bytes, bytes.count) == 1)
    return Array(signature.prefix(size))
  }

  /// As a token has it.
  func signature(_ bytes: [UInt8]) -> [UInt8] {
    let signature = sign(bytes)
    guard EVP_PKEY_get_id(key) == EVP_PKEY_EC else { return signature }
    return signature.withUnsafeBufferPointer { buffer in
      var at = buffer.baseAddress
      let pair = d2i_ECDSA_SIG(nil, &at, buffer.count)
      defer { ECDSA_SIG_free(pair) }
      var both = [UInt8](repeating: 0, count: 64)
      both.withUnsafeMutableBufferPointer {
        BN_bn2binpad(ECDSA_SIG_get0_r(pair), $0.baseAddress, 32)
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), $0.baseAddress.map { $0 + 32 }, 32)
      }
      return both
    }
  }

  private static func pem(_ write: (OpaquePointer?) -> Int32) -> [UInt8] {
    let memory = BIO_new(BIO_s_mem())
    defer { BIO_free(memory) }
    #expect(write(memory) == 1)
    var bytes = [UInt8](repeating: 0, count: 16 << 10)
    let count = BIO_read(memory, &bytes, Int32(bytes.count))
    return Array(bytes.prefix(Int(max(count, 0))))
  }
}

func hmac(_ secret: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
  var out = [UInt8](repeating: 0, count: 32)
  var size: UInt32 = 0
  _ = HMAC(EVP_sha256(), secret, Int32(secret.count), bytes, bytes.count, &out, &size)
  #expect(size == 32)
  return out
}

/// For URLs, without padding.
func base64(_ bytes: [UInt8]) -> String {
  Data(bytes).base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
    .replacingOccurrences(of: "=", with: "")
}

/// A public key from the fixed begin of its DER and its numbers.
func publicPEM(_ begin: [UInt8], _ numbers: String...) -> [UInt8] {
  var der = Data(begin)
  for number in numbers { der += fromBase64(number) }
  return Array("-----BEGIN PUBLIC KEY-----\n\(der.base64EncodedString())\n-----END PUBLIC KEY-----\n".utf8)
}

func fromBase64(_ text: String) -> [UInt8] {
  let standard = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
  let padded = standard + String(repeating: "=", count: (4 - standard.count % 4) % 4)
  return Array(Data(base64Encoded: padded) ?? Data())
}

/// The time of the tests.
let now: Int64 = 1_800_000_000
let secret = Array("a secret of thirty-two bytes, and".utf8)

enum Token {
  static let header = #"{"alg":"HS256","typ":"JWT"}"#

  /// Of two JSON texts, signed with `sign`.
  static func make(_ header: String, _ claims: String, _ sign: ([UInt8]) -> [UInt8]) -> [UInt8] {
    let signed = base64(Array(header.utf8)) + "." + base64(Array(claims.utf8))
    return Array("\(signed).\(base64(sign(Array(signed.utf8))))".utf8)
  }

  static func hs256(_ claims: String, header: String = Token.header) -> [UInt8] {
    make(header, claims) { hmac(secret, $0) }
  }

  /// Claims with a minute to live, and more.
  static func claims(_ more: String = "") -> String { #"{"exp":\#(now + 60)\#(more.isEmpty ? "" : "," + more)}"# }
}

extension TokenKeys {
  static func with(_ keys: (name: String, algorithm: String, material: [UInt8])...) -> TokenKeys {
    let made = TokenKeys()
    for key in keys {
      #expect(made.add(name: Array(key.name.utf8), algorithm: Array(key.algorithm.utf8), material: key.material) == nil)
    }
    return made
  }

  /// "ok", or the code of what is wrong.
  func judge(
    _ token: [UInt8], at time: Int64 = now, leeway: Int64 = 0, audience: String = "", issuer: String = ""
  ) -> String {
    // A slice that does not begin at 0.
    let padded = [UInt8(ascii: "x")] + token + [UInt8(ascii: "x")]
    let verdict = verify(
      padded[1..<(1 + token.count)], now: time, leeway: leeway, audience: Array(audience.utf8), issuer: Array(issuer.utf8))
    switch verdict {
    case .success: return "ok"
    case .failure(let problem): return problem.code.description
    }
  }
}
