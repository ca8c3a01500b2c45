// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Foundation
import PulseServe
import PulseText
import PulseTransport
import Testing

struct TokenKeysTests {
  private static let joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

  /// RFC 7515 appendix A.1.
  @Test func exampleOfHS256() {
    let secret = fromBase64("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
    let keys = TokenKeys.with(("main", "HS256", secret))
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(Self.joe).dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    #expect(keys.judge(Array(token.utf8), at: 1_300_819_379, issuer: "joe") == "ok")
    #expect(keys.judge(Array(token.utf8), at: 1_300_819_380, issuer: "joe") == "token_expired")
  }

  /// RFC 7515 appendix A.3.
  @Test func exampleOfES256() {
    let begin: [UInt8] = [
      0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D,
      0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ]
    let pem = publicPEM(begin, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
    let keys = TokenKeys.with(("main", "ES256", pem))
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    #expect(keys.judge(Array("eyJhbGciOiJFUzI1NiJ9.\(Self.joe).\(signature)".utf8), at: 1_300_819_000) == "ok")
  }

  /// RFC 8037 appendix A.4: no claims, so the signature alone.
  @Test func exampleOfEdDSA() {
    let begin: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]
    let keys = TokenKeys.with(("main", "EdDSA", publicPEM(begin, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")))
    let signed = Array("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".utf8)
    var signature = fromBase64("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
    func check() -> TokenKeys.Check {
      signed.withUnsafeBytes { bytes in
        signature.withUnsafeBytes { keys.check(name: nil, algorithm: .edDSA, signed: bytes, signature: $0) }
      }
    }
    #expect(check() == .valid)
    signature[63] ^= 1
    #expect(check() == .badSignature)
    signature = []
    #expect(check() == .badSignature)
  }

  @Test(arguments: [("RS256", SigningKey.rsa), ("ES256", .p256), ("EdDSA", .ed25519)])
  func publicKeysAndCertificates(_ algorithm: String, _ key: SigningKey) {
    let claims = Token.claims()
    let header = #"{"alg":"\#(algorithm)"}"#
    let token = Token.make(header, claims, key.signature)
    var pems = [key.publicPEM, Array("a comment\n".utf8) + key.publicPEM]
    if algorithm != "EdDSA" { pems.append(key.certificatePEM) }
    for pem in pems {
      let keys = TokenKeys.with(("main", algorithm, pem))
      #expect(keys.judge(token) == "ok")
      // Every byte of the signed text and of the signature counts.
      for place in stride(from: 0, to: token.count, by: 7) where token[place] != UInt8(ascii: ".") {
        var other = token
        other[place] = other[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        #expect(keys.judge(other) != "ok")
      }
    }
    // The queue of errors, which TLS on this thread would read, is left empty.
    #expect(ERR_peek_error() == 0)
  }

  @Test func algorithmsBelongToKeys() {
    let rsa = SigningKey.rsa.publicPEM
    let keys = TokenKeys.with(("r", "RS256", rsa), ("e", "ES256", SigningKey.p256.publicPEM))
    let claims = Token.claims()
    // A public key as a secret is known to everybody.
    #expect(keys.judge(Token.make(#"{"alg":"HS256"}"#, claims) { hmac(rsa, $0) }) == "token_unknown_key")
    #expect(keys.judge(Token.make(#"{"alg":"HS256","kid":"r"}"#, claims) { hmac(rsa, $0) }) == "token_unknown_key")
    #expect(keys.judge(Token.make(#"{"alg":"RS256","kid":"e"}"#, claims, SigningKey.rsa.signature)) == "token_unknown_key")
    #expect(keys.judge(Token.make(#"{"alg":"ES256","kid":"e"}"#, claims, SigningKey.p256.signature)) == "ok")
    // In DER, and cut.
    #expect(keys.judge(Token.make(#"{"alg":"ES256"}"#, claims, SigningKey.p256.sign)) == "token_bad_signature")
    #expect(keys.judge(Token.make(#"{"alg":"ES256"}"#, claims) { _ in [UInt8](repeating: 0, count: 64) }) == "token_bad_signature")
    for alg in ["none", "None", "HS512", "hs256", "PS256", "RS256 "] {
      #expect(keys.judge(Token.make(#"{"alg":"\#(alg)"}"#, claims) { _ in [] }) == "token_unknown_key")
    }
  }

  @Test func namesPickKeys() {
    let other = [UInt8](repeating: 7, count: 32)
    let keys = TokenKeys.with(("a", "HS256", secret), ("b", "HS256", other))
    let claims = Token.claims()
    for (header, key, expected) in [
      (#"{"alg":"HS256"}"#, secret, "ok"), (#"{"alg":"HS256"}"#, other, "ok"),
      (#"{"alg":"HS256","kid":"b"}"#, other, "ok"), (#"{"alg":"HS256","kid":"\u0062"}"#, other, "ok"),
      (#"{"alg":"HS256","kid":"a"}"#, other, "token_bad_signature"), (#"{"alg":"HS256","kid":"c"}"#, other, "token_unknown_key"),
      (#"{"alg":"HS256","kid":""}"#, other, "token_unknown_key"), (#"{"alg":"HS256","kid":1}"#, other, "token_malformed"),
    ] { #expect(keys.judge(Token.make(header, claims) { hmac(key, $0) }) == expected, "\(header)") }
    #expect(TokenKeys().judge(Token.hs256(claims)) == "token_unknown_key")
    #expect(!keys.isEmpty && TokenKeys().isEmpty)
  }

  @Test func keysThatCannotBe() {
    let short = [UInt8](repeating: 1, count: 31)
    for (algorithm, material, part) in [
      ("HS512", secret, "no algorithm"), ("none", secret, "no algorithm"), ("", secret, "no algorithm"),
      ("HS256", short, "at least 32 bytes"), ("HS256", [], "at least 32 bytes"),
      ("HS256", SigningKey.rsa.publicPEM, "PEM"), ("HS256", Array("\n".utf8) + SigningKey.rsa.certificatePEM, "PEM"),
      ("HS256", [UInt8](repeating: 1, count: 70_000), "65536"),
      ("RS256", secret, "no public key"), ("RS256", [], "no public key"), ("RS256", SigningKey.rsa.privatePEM, "no public key"),
      ("RS256", SigningKey.p256.publicPEM, "not an RSA key"), ("RS256", SigningKey(.rsa(1024)).publicPEM, "2048"),
      ("ES256", SigningKey(.ec(NID_secp384r1)).publicPEM, "P-256"), ("ES256", SigningKey(.ec(NID_secp256k1)).publicPEM, "P-256"),
      ("ES256", SigningKey.rsa.publicPEM, "P-256"), ("ES256", SigningKey.ed25519.publicPEM, "P-256"),
      ("EdDSA", SigningKey.p256.publicPEM, "Ed25519"), ("EdDSA", Array(SigningKey.ed25519.publicPEM.dropLast(40)), "no public key"),
    ] {
      let keys = TokenKeys()
      let why = keys.add(name: Array("k".utf8), algorithm: Array(algorithm.utf8), material: material) ?? ""
      expectPlain(why)
      #expect(why.contains(part), "\(why)")
      #expect(keys.isEmpty)
      #expect(ERR_peek_error() == 0)
    }
    let keys = TokenKeys.with(("k", "HS256", secret))
    for name in [Array("k".utf8), [], [UInt8](repeating: 1, count: 257)] {
      expectPlain(keys.add(name: name, algorithm: Array("HS256".utf8), material: secret) ?? "")
    }
    for number in 1..<TokenKeys.maxKeys {
      #expect(keys.add(name: Array("\(number)".utf8), algorithm: Array("HS256".utf8), material: secret) == nil)
    }
    expectPlain(keys.add(name: Array("one more".utf8), algorithm: Array("HS256".utf8), material: secret) ?? "")
  }
}
