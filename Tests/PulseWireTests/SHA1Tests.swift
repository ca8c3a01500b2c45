// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseWire

struct SHA1Tests {
  static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// FIPS 180 samples, and lengths around the borders of a block.
  @Test(arguments: [
    ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
    ),
    ("The quick brown fox jumps over the lazy dog", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"),
  ]) func known(_ text: String, _ digest: String) {
    #expect(Self.hex(SHA1.digest(Array(text.utf8))) == digest)
  }

  @Test(arguments: [
    (55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"), (56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"),
    (63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"), (64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"),
    (65, "11655326c708d70319be2610e8a57d9a5b959d3b"), (1_000_000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
  ]) func repeatedA(_ count: Int, _ digest: String) {
    #expect(Self.hex(SHA1.digest([UInt8](repeating: UInt8(ascii: "a"), count: count))) == digest)
  }

  /// RFC 6455 §1.3.
  @Test func acceptOfTheSample() {
    let accept = UpgradeKey.accept(Array("dGhlIHNhbXBsZSBub25jZQ==".utf8))
    #expect(String(decoding: accept, as: UTF8.self) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  }
}
