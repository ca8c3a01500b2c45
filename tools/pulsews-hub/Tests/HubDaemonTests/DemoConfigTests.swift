// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct DemoConfigTests {
  private static let secret = "0123456789abcdef0123456789abcdef"

  private func config(_ folder: String?, _ exchange: String?) -> DemoConfig {
    DemoConfig(place: DemoPlace(host: "127.0.0.1", port: 4), secret: DemoConfigTests.secret, folder: folder, exchange: exchange)
  }

  @Test func theTextsAreConfigurations() {
    for (folder, exchange) in [(nil, nil), (nil, "127.0.0.1:5"), ("/tmp", nil), ("/tmp", "127.0.0.1:5")] as [(String?, String?)] {
      for text in [config(folder, exchange).text, config(folder, exchange).wholeText] {
        let reading = Reading(text)
        Trial.run(Plan(reading.config), reading.findings)
        #expect(reading.errors == [])
        #expect(reading.config.feeds.map(\.subscriptions.count) == [48])
        #expect(reading.config.routes.contains { $0.name.value == "/" } == (folder != nil))
        #expect(reading.config.listen.map(\.value) == ["127.0.0.1:4"])
      }
    }
    let feeds = [Reading(config(nil, "127.0.0.1:5").text), Reading(config(nil, nil).text)].compactMap(\.config.feeds.first)
    #expect(feeds.map(\.url.value) == ["ws://127.0.0.1:5/stream", "wss://stream.binance.com:9443/stream"])
    #expect(feeds.map(\.history?.url) == ["http://127.0.0.1:5/api/v3/klines", "https://api.binance.com/api/v3/klines"])
    // What is for the running demo alone is not in what a user takes on.
    #expect(!config("/tmp", nil).text.contains("page.json") && config("/tmp", nil).wholeText.contains("page.json"))
    #expect(JSONScanner.isObject(Array(DemoConfig.page.utf8)))
  }

  @Test func aFolderMayHaveAnyName() {
    let reading = Reading(config("/a \"b\" \\c\td", nil).text)
    #expect(reading.errors == [])
    #expect(reading.config.routes.last?.options.last?.value == "/a \"b\" \\c\td")
  }

  @Test func placesAreHostAndPort() {
    #expect(DemoPlace("localhost:80") == DemoPlace(host: "localhost", port: 80))
    #expect(DemoPlace("[::1]:0") == DemoPlace(host: "[::1]", port: 0))
    #expect(DemoPlace("*:8080") == DemoPlace(host: "*", port: 8080))
    for text in ["8080", ":8080", "a:", "a:x", "a:65536", "::1:80", "wss://a:80", "unix:/a", ""] {
      #expect(DemoPlace(text) == nil, "\(text)")
    }
  }

  @Test func pagesAreOfTheirOrigins() {
    #expect(DemoPlace("*:81")?.authority == "127.0.0.1:81")
    #expect(DemoPlace("*:80")?.origins == ["http://127.0.0.1", "http://localhost"])
    #expect(DemoPlace("10.0.0.1:81")?.origins == ["http://127.0.0.1:81", "http://localhost:81", "http://10.0.0.1:81"])
    #expect(DemoPlace("[::1]:81")?.numeric == "::1")
    #expect(DemoPlace("localhost:81")?.numeric == "127.0.0.1")
  }

  private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { (String($0, radix: 16).count < 2 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test func digestsAreThoseOfTheStandards() {
    // FIPS 180-4, and RFC 4231 §4.3 and §4.7.
    #expect(hexadecimal(DemoToken.sha256([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(hexadecimal(DemoToken.sha256(Array("abc".utf8))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      hexadecimal(DemoToken.sha256(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)))
        == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    let message = Array("what do ya want for nothing?".utf8)
    #expect(
      hexadecimal(DemoToken.hmac(message, key: Array("Jefe".utf8))) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    let long = Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)
    #expect(
      hexadecimal(DemoToken.hmac(long, key: [UInt8](repeating: 0xAA, count: 131)))
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
  }

  @Test func tokensAreSigned() {
    // RFC 4648 §10, without padding.
    let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map { DemoToken.base64(Array($0.utf8)) }
    #expect(texts == ["", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"])
    #expect(DemoToken.base64([0xFB, 0xFF]) == "-_8")
    let parts = config(nil, nil).token(now: 1).split(separator: ".").map(String.init)
    #expect(parts.count == 3 && parts[0] == "eyJhbGciOiJIUzI1NiJ9")
    #expect(parts[2] == DemoToken.base64(DemoToken.hmac(Array("\(parts[0]).\(parts[1])".utf8), key: Array(DemoConfigTests.secret.utf8))))
    #expect(DemoToken.secret().utf8.count == 64 && DemoToken.secret() != DemoToken.secret())
  }
}
