// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseWire

struct Base64Tests {
  /// RFC 4648 §10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ("foobar", "Zm9vYmFy"), ("the sample nonce", "dGhlIHNhbXBsZSBub25jZQ=="),
  ]) func known(_ text: String, _ encoded: String) {
    #expect(Base64.encode(Array(text.utf8)) == Array(encoded.utf8))
    #expect(Base64.decode(Array(encoded.utf8)) == Array(text.utf8))
  }

  @Test func everyByteRoundTrips() {
    let all = Array(UInt8.min...UInt8.max)
    for count in 0...all.count {
      let bytes = Array(all.reversed().prefix(count))
      #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
    #expect(Base64.encode([0xFB, 0xFF]) == Array("+/8=".utf8))
  }

  @Test(arguments: [
    "A", "AA", "AAA", "AAAAA", "====", "A===", "=AAA", "A=AA", "AA=A", "AA==AAAA", "AAA=AAAA", "AA-_", "AA A", "AAA\n",
    "AAA\u{0}", "AAé",
  ]) func refused(_ text: String) {
    #expect(Base64.decode(Array(text.utf8)) == nil)
  }

  /// Left-over bits under the padding are not looked at.
  @Test func leftOverBits() { #expect(Base64.decode(Array("Zh==".utf8)) == Array("f".utf8)) }

  @Test func forURLs() {
    #expect(Base64.decodeURL(Array("-_8".utf8)[...]) == [0xFB, 0xFF])
    #expect(Base64.decodeURL([]) == [])
    let all = Array(UInt8.min...UInt8.max)
    for count in 0...all.count {
      let bytes = Array(all.reversed().prefix(count))
      var text: [UInt8] = []
      for letter in Base64.encode(bytes) where letter != UInt8(ascii: "=") {
        text.append(letter == UInt8(ascii: "+") ? UInt8(ascii: "-") : letter == UInt8(ascii: "/") ? UInt8(ascii: "_") : letter)
      }
      #expect(Base64.decodeURL(text[...]) == bytes)
    }
  }

  /// The last two have bits left over, which would give a token a second spelling.
  @Test(arguments: ["A", "AAAAA", "Zg==", "AA=", "A+AA", "A/AA", "AA A", "AA\n", "AA.A", "Zh", "Zm9"]) func refusedForURLs(_ text: String) {
    #expect(Base64.decodeURL(Array(text.utf8)[...]) == nil)
  }
}
