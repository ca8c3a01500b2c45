// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseWire

struct WebSocketURLTests {
  struct Line: CustomTestStringConvertible, Sendable {
    var isValid: Bool
    var url: [UInt8]
    var rest: String
    var testDescription: String { String(decoding: url.prefix(80), as: UTF8.self) }
  }

  static let lines: [Line] = HandshakeVector.lines("url.txt").compactMap { line in
    if line.isEmpty || line.hasPrefix("#") { return nil }
    let parts = separated(line)
    return Line(
      isValid: parts[0].hasPrefix("ok"), url: HandshakeVector.unescaped(parts[1], repeatTo: 8193), rest: parts[2])
  }

  /// Splits at the first and the last " | ".
  static func separated(_ line: String) -> [String] {
    let bytes = Array(line.utf8)
    let marks = bytes.indices.filter { bytes[$0...].starts(with: " | ".utf8) }
    guard let first = marks.first, let last = marks.last, last > first else { return ["", "", ""] }
    return [bytes[..<first], bytes[(first + 3)..<max(last, first + 3)], bytes[(last + 3)...]].map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  static func parse(_ bytes: [UInt8]) -> Result<WebSocketURL, URLFailure> {
    bytes.withUnsafeBytes { WebSocketURL.parse($0) }
  }

  @Test func vectorsAreThere() { #expect(Self.lines.count > 100) }

  @Test(arguments: lines) func vector(_ line: Line) throws {
    switch Self.parse(line.url) {
    case .failure(let failure):
      expectPlain(failure.text)
      #expect(!line.isValid, "\(failure.text)")
      #expect(failure.text.contains(line.rest), "\(failure.text)")
    case .success(let url):
      #expect(line.isValid)
      for pair in line.rest.split(separator: " ") where line.isValid {
        let equal = try #require(pair.firstIndex(of: "="))
        let value = String(decoding: HandshakeVector.unescaped(pair[pair.index(after: equal)...]), as: UTF8.self)
        switch pair[..<equal] {
        case "secure": #expect("\(url.isSecure)" == value)
        case "host": #expect(url.host == value)
        case "ipv6": #expect("\(url.isIPv6Literal)" == value)
        case "port": #expect("\(url.port)" == value)
        case "header": #expect(url.hostHeader == value)
        case "target": #expect(url.target == value)
        case "redacted": #expect(url.redacted == value)
        case "user": #expect(url.credentials?.user == value)
        case "password": #expect(url.credentials?.password == value)
        default: Issue.record("unknown name in \(pair)")
        }
      }
    }
  }

  /// What was parsed parses again, to the same parts.
  @Test(arguments: lines.filter { $0.isValid }) func again(_ line: Line) throws {
    let url = try Self.parse(line.url).get()
    let again = try WebSocketURL.parse((url.isSecure ? "wss://" : "ws://") + url.hostHeader + url.target).get()
    #expect(again.host == url.host && again.port == url.port && again.hostHeader == url.hostHeader)
    #expect(again.target == url.target && again.isIPv6Literal == url.isIPv6Literal)
    #expect(again.credentials == nil && again.redacted == url.redacted)
  }

  @Test func noCredentialsWithoutUser() throws {
    #expect(try WebSocketURL.parse("ws://h/").get().credentials == nil)
    #expect(try WebSocketURL.parse("ws://@h/").get().credentials == nil)
  }

  @Test func longestURL() throws {
    let start = "ws://h/"
    let fits = start + String(repeating: "a", count: 8192 - start.count)
    #expect(try WebSocketURL.parse(fits).get().target.count == 8186)
    #expect(throws: URLFailure.self) { try WebSocketURL.parse(fits + "a").get() }
  }

  @Test func longHost() {
    let label = String(repeating: "a", count: 62) + "."
    let host = String(repeating: label, count: 4)  // 252
    #expect(throws: Never.self) { try WebSocketURL.parse("ws://\(host)b").get() }
    #expect(throws: URLFailure.self) { try WebSocketURL.parse("ws://\(host)bc").get() }
  }

  /// Every byte in every part: nothing traps, and no sentence repeats a control character.
  @Test func everyByteEverywhere() {
    let base = Array("wss://us:pw@[::1]:80/p?q".utf8)
    for index in base.indices {
      for byte in UInt8.min...UInt8.max {
        var changed = base
        changed[index] = byte
        if case .failure(let failure) = Self.parse(changed) { expectPlain(failure.text) }
        changed.removeSubrange((index + 1)...)
        if case .failure(let failure) = Self.parse(changed) { expectPlain(failure.text) }
      }
    }
  }

  /// Passwords are never repeated.
  @Test(arguments: [
    "ws://user:hunter2@", "ws://user:hunter2@h:0/", "ws://user:hunter2@h/#", "ws://user:hun/hunter2@h/",
    "ws://user:hunter2/@h/", "ws://user:hunter2?@h/", "ws://us!er:hunter2@h:x/", "ws://user:hunter2@h@i/",
    "http://user:hunter2@h/", "ws://user:hunter2%@h/", "ws://hunter2:x/y@h/", "ws://user:hunter2 @h/",
  ]) func secrets(_ url: String) {
    guard case .failure(let failure) = WebSocketURL.parse(url) else {
      Issue.record("accepted")
      return
    }
    #expect(!failure.text.contains("hunter2"), "\(failure.text)")
  }

  @Test(arguments: [
    ("wss://h/ws/pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1", "wss://h/ws/***"),
    ("wss://h/ws/btcusdt@bookTicker", "wss://h/ws/btcusdt@bookTicker"),
    ("wss://h/v5/public/linear?token=secret", "wss://h/v5/public/linear"),
    ("wss://user:secret@h/a", "wss://h/a"),
    ("wss://h/0123456789abcdef0123456789abcdef0/x", "wss://h/***/x"),
    ("wss://h/a.name.that.is.long.but.has.points.in.it.and.no.key", "wss://h/a.name.that.is.long.but.has.points.in.it.and.no.key"),
  ])
  func keysDoNotShowInLogs(url: String, shown: String) throws {
    #expect(try WebSocketURL.parse(url).get().redacted == shown)
  }
}
