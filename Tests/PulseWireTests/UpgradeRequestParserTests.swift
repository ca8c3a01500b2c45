// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseWire

struct UpgradeRequestParserTests {
  static let valid = [
    "GET / HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
  ]
  static let vectors = HandshakeVector.load("handshake-server.txt", valid: valid)

  struct Outcome {
    var text: String
    var sentence = ""
    var info: UpgradeRequestInfo?
    var consumed = 0
  }

  static func describe(_ offer: DeflateOffer) -> String {
    var parts: [String] = []
    if let bits = offer.clientMaxWindowBits { parts.append(bits == 0 ? "cmwb" : "cmwb=\(bits)") }
    if let bits = offer.serverMaxWindowBits { parts.append("smwb=\(bits)") }
    if offer.clientNoContextTakeover { parts.append("cnct") }
    if offer.serverNoContextTakeover { parts.append("snct") }
    return parts.isEmpty ? "-" : parts.joined(separator: "+")
  }

  static func describe(_ progress: UpgradeRequestProgress) -> Outcome? {
    switch progress {
    case .needMoreBytes: nil
    case .request(let info): Outcome(text: "request", info: info, consumed: info.consumed)
    case .failed(let failure): Outcome(text: "failed \(failure.status)", sentence: failure.text)
    }
  }

  static func run(_ bytes: [UInt8], _ cuts: [Int]) -> Outcome {
    let parser = UpgradeRequestParser()
    var outcome: Outcome?
    var before = 0
    bytes.forEachChunk(cuts) { chunk in
      outcome = describe(parser.receive(chunk))
      outcome?.consumed += before
      before += chunk.count
      return outcome == nil
    }
    if let outcome {
      let again = [UInt8](repeating: 0, count: 3).withUnsafeBytes { describe(parser.receive($0)) }
      #expect(again?.text == outcome.text && again?.consumed == 0)
    }
    return outcome ?? Outcome(text: "incomplete")
  }

  @Test func vectorsAreThere() { #expect(Self.vectors.count > 40) }

  @Test(arguments: vectors) func vector(_ vector: HandshakeVector) throws {
    var words = vector.expected.split(separator: " ").map(String.init)
    let expected = words[0] == "failed" ? "failed \(words[1])" : words[0]
    let fragment = words[0] == "failed" ? words.dropFirst(2).joined(separator: " ") : ""
    words.removeFirst()
    for (index, cuts) in HandshakeVector.cuts(of: vector.bytes.count).enumerated() {
      let outcome = Self.run(vector.bytes, cuts)
      #expect(outcome.text == expected, "\(outcome.sentence)")
      if outcome.text != expected { return }
      if !outcome.sentence.isEmpty { expectPlain(outcome.sentence) }
      if index == 0 { #expect(fragment.isEmpty || outcome.sentence.contains(fragment), "\(outcome.sentence)") }
      guard let info = outcome.info else { continue }
      #expect(outcome.consumed == vector.bytes.count)
      var values: [Substring: String] = [:]
      for word in words {
        let equal = try #require(word.firstIndex(of: "="))
        values[word[..<equal]] = String(word[word.index(after: equal)...])
      }
      #expect(info.target == values["target"])
      if let host = values["host"] { #expect(info.host == host) }
      #expect(info.subprotocols.joined(separator: ",") == values["protocols"] ?? "")
      #expect(info.deflateOffers.map(Self.describe).joined(separator: "|") == values["offers"] ?? "")
    }
  }

  @Test(arguments: vectors.filter { $0.expected.hasPrefix("request") }) func trailing(_ vector: HandshakeVector) {
    let bytes = vector.bytes + [0x81, 0x80, 1, 2, 3, 4]
    for cuts in HandshakeVector.cuts(of: bytes.count) {
      let outcome = Self.run(bytes, cuts)
      #expect(outcome.text == "request" && outcome.consumed == vector.bytes.count)
    }
  }

  /// What belongs to a status is in the answer.
  @Test func answersToWhatFailed() throws {
    func answer(_ lines: [String]) throws -> String {
      let parser = UpgradeRequestParser()
      let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
      guard case .failed(let failure) = bytes.withUnsafeBytes({ parser.receive($0) }) else { return "accepted" }
      return String(decoding: try #require(UpgradeResponse.reject(failure)), as: UTF8.self)
    }
    let version = try answer(Self.valid.dropLast() + ["Sec-WebSocket-Version: 7"])
    #expect(version.hasPrefix("HTTP/1.1 426 Upgrade Required\r\n"))
    #expect(version.contains("\r\nSec-WebSocket-Version: 13\r\n"))
    #expect(version.contains("\r\nConnection: Upgrade, close\r\n"))
    let plain = try answer(["GET / HTTP/1.1", "Host: h"])
    #expect(plain.contains("\r\nUpgrade: websocket\r\n"))
    let method = try answer(["POST / HTTP/1.1", "Host: h"])
    #expect(method.hasPrefix("HTTP/1.1 405 Method Not Allowed\r\n"))
    #expect(method.contains("\r\nAllow: GET\r\n"))

    let parser = UpgradeRequestParser()
    guard case .failed(let tls) = [0x16, 3, 1].withUnsafeBytes({ parser.receive($0) }) else {
      Issue.record("TLS accepted")
      return
    }
    #expect(UpgradeResponse.reject(tls) == nil)
  }
}
