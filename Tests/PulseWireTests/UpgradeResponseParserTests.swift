// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseWire

struct UpgradeResponseParserTests {
  static let key = Array("the sample nonce".utf8)
  static let valid = [
    "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  ]
  static let vectors = HandshakeVector.load("handshake-client.txt", valid: valid)

  /// What came out, in the words of the vectors, and how many bytes belong to it.
  struct Outcome {
    var text: String
    var consumed = 0
    var sentence = ""
  }

  static func describe(_ progress: UpgradeProgress) -> Outcome? {
    switch progress {
    case .needMoreBytes:
      return nil
    case .accepted(let accepted):
      var text = "accepted"
      if let deflate = accepted.deflate {
        text += " deflate=\(deflate.clientMaxWindowBits)/\(deflate.serverMaxWindowBits)"
        if deflate.clientNoContextTakeover { text += ",cnct" }
        if deflate.serverNoContextTakeover { text += ",snct" }
      }
      if let name = accepted.subprotocol { text += " protocol=\(name)" }
      return Outcome(text: text, consumed: accepted.consumed)
    case .refused(let refusal):
      let body = String(decoding: refusal.body, as: UTF8.self)
      return Outcome(text: "refused \(refusal.status) \"\(body)\"", sentence: refusal.text)
    case .failed(let failure):
      let kind =
        switch failure.kind {
        case .malformed: "malformed"
        case .tooLarge: "tooLarge"
        case .invalid: "invalid"
        case .incomplete: "incomplete"
        }
      return Outcome(text: "failed \(kind)", sentence: failure.text)
    }
  }

  static func run(_ vector: HandshakeVector, _ bytes: [UInt8], _ cuts: [Int]) -> Outcome {
    let parser = UpgradeResponseParser(
      key: key, subprotocols: HandshakeVector.names(vector.settings["protocols"]),
      offer: HandshakeVector.offer(vector.settings["offer"]))
    var outcome: Outcome?
    var before = 0
    bytes.forEachChunk(cuts) { chunk in
      outcome = describe(parser.receive(chunk))
      if outcome != nil {
        outcome?.consumed += before
        return false
      }
      before += chunk.count
      return true
    }
    let isFinal = outcome != nil
    let isBody = parser.isReadingBody
    var end = outcome ?? describe(parser.finish()) ?? Outcome(text: "needs more bytes after the end")
    #expect(isFinal || !isBody || end.text.hasPrefix("refused"))
    #expect(!parser.isReadingBody)
    // What is final stays.
    let again = [UInt8](repeating: 0, count: 3).withUnsafeBytes { describe(parser.receive($0)) }
    #expect(again?.text == end.text && again?.consumed == 0)
    #expect(describe(parser.finish())?.text == end.text)
    if !isFinal, end.text.hasPrefix("refused") { end.text = "refused-at-end" + end.text.dropFirst(7) }
    return end
  }

  @Test func vectorsAreThere() { #expect(Self.vectors.count > 100) }

  @Test(arguments: vectors) func vector(_ vector: HandshakeVector) {
    var expected = vector.expected
    var fragment = ""
    if expected.hasPrefix("failed") {
      let words = expected.split(separator: " ", maxSplits: 2).map(String.init)
      expected = words[0] + " " + words[1]
      fragment = words.count > 2 ? words[2] : ""
    }
    for (index, cuts) in HandshakeVector.cuts(of: vector.bytes.count).enumerated() {
      let outcome = Self.run(vector, vector.bytes, cuts)
      #expect(outcome.text == expected, "\(outcome.sentence)")
      if expected.hasPrefix("accepted") { #expect(outcome.consumed == vector.bytes.count) }
      if !outcome.sentence.isEmpty { expectPlain(outcome.sentence, vector.name) }
      if index == 0, !fragment.isEmpty { #expect(outcome.sentence.contains(fragment), "\(outcome.sentence)") }
      if outcome.text != expected { return }
    }
  }

  /// Frames behind the handshake, in the same chunk or not, are not the handshake's.
  @Test(arguments: vectors.filter { $0.expected.hasPrefix("accepted") }) func trailing(_ vector: HandshakeVector) {
    let bytes = vector.bytes + [0x81, 2, 0x68, 0x69, 13, 10, 13, 10]
    for cuts in HandshakeVector.cuts(of: bytes.count) {
      let outcome = Self.run(vector, bytes, cuts)
      #expect(outcome.text == vector.expected)
      #expect(outcome.consumed == vector.bytes.count)
    }
  }

  /// The first byte that shows that it is not HTTP ends it.
  @Test func failsAtTheFirstByte() {
    for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: "H") {
      let parser = UpgradeResponseParser(key: Self.key, subprotocols: [], offer: nil)
      let progress = [byte].withUnsafeBytes { parser.receive($0) }
      guard case .failed(let failure) = progress else {
        Issue.record("byte \(byte) accepted")
        continue
      }
      expectPlain(failure.text)
    }
  }

  static func answer(_ text: String, offer: DeflateOffer? = nil, maxSize: Int = 64 << 10) -> UpgradeProgress {
    let parser = UpgradeResponseParser(key: key, subprotocols: [], offer: offer, maxSize: maxSize)
    let progress = Array(text.utf8).withUnsafeBytes { parser.receive($0) }
    if case .needMoreBytes = progress { return parser.finish() }
    return progress
  }

  @Test func headersAreKept() throws {
    let text = (Self.valid + ["X-A: 1 ", "x-a:\t2", "X-E:"]).joined(separator: "\r\n") + "\r\n\r\n"
    guard case .accepted(let accepted) = Self.answer(text) else {
      Issue.record("not accepted")
      return
    }
    #expect(accepted.headers.count == 6)
    #expect(accepted.headers[3] == ("X-A", "1"))
    #expect(accepted.headers[4] == ("x-a", "2"))
    #expect(accepted.headers[5] == ("X-E", ""))
  }

  @Test func refusalHasReasonHeadersAndHint() throws {
    let answer = "HTTP/1.1 429 Slow\tDown\r\nRetry-After: 17\r\nContent-Length: 3\r\n\r\nabc"
    guard case .refused(let refusal) = Self.answer(answer) else {
      Issue.record("not refused")
      return
    }
    #expect(refusal.reason == "Slow\tDown")
    #expect(refusal.retryAfter(now: 0) == 17)
    #expect(refusal.headers.count == 2)
    #expect(refusal.body == Array("abc".utf8))
    #expect(refusal.text.contains("429 \"Slow\\x09Down\""))
    #expect(refusal.text.contains("Retry-After"))
    expectPlain(refusal.text)
  }

  @Test(arguments: [
    (400, "headers"), (401, "token"), (403, "origin"), (404, "path"), (426, "version"), (429, "Retry-After"),
    (503, "Retry-After"), (302, "not followed"), (500, "failed"), (502, "proxy"), (200, "Upgrade"),
  ]) func hints(_ status: Int, _ fragment: String) {
    #expect(UpgradeRefusal.hint(status).contains(fragment))
  }

  @Test func hintsAreSentencesForEveryStatus() {
    for status in -1...1000 {
      let hint = UpgradeRefusal.hint(status)
      if !hint.isEmpty { expectPlain(hint) }
    }
  }

  @Test(arguments: [
    "<html>400 The plain HTTP request was sent to HTTPS port</html>",
    "Reason: You're speaking plain HTTP to an SSL-enabled server port.",
    "Client sent an HTTP request to an HTTPS server.\n",
  ]) func plainHTTPOnTLSPort(_ body: String) {
    guard case .refused(let refusal) = Self.answer("HTTP/1.0 400 Bad Request\r\n\r\n" + body) else {
      Issue.record("not refused")
      return
    }
    #expect(refusal.hint.contains("wss://"))
  }

  /// What breaks the rules in a refusal costs no more than itself: status, Retry-After and body are there.
  @Test(arguments: [
    "HTTP/1.1 429 Slow\u{1}Down\r\nRetry-After:\r\n 17\r\nX-Why: a\r\n\tb \r\n c\r\nX:\r\n\r\n",
    "HTTP/1.1 429 Slow\u{1}Down\nRetry-After : 17\nX-Why: a\n b \n\tc\nX: \n\n",
    "HTTP/1.1 429 Slow\u{1}Down\r\nno header\r\nRetry-After: 17\r\nX-Why: a\r\rb\u{0}\u{7F} c\r\nX:\t\r\n",
  ]) func aRefusalIsReadForWhatItSays(_ answer: String) {
    guard case .refused(let refusal) = Self.answer(answer) else {
      Issue.record("not refused")
      return
    }
    #expect(refusal.status == 429 && refusal.reason == "Slow Down")
    #expect(refusal.retryAfter(now: 0) == 17)
    #expect(refusal.headers.map(\.name) == ["Retry-After", "X-Why", "X"])
    let words = refusal.headers[1].value.split { $0 == " " || $0 == "\t" }
    #expect(words == ["a", "b", "c"] && refusal.headers[2].value == "")
    for header in refusal.headers { #expect(header.value.utf8.allSatisfy { $0 == 9 || ($0 >= 0x20 && $0 != 0x7F) }) }
  }

  /// What continues a line that is dropped goes with it, and does not join what is before that.
  @Test(arguments: ["\r\n", "\n"]) func aContinuedLineThatIsDropped(_ end: String) {
    let lines = ["HTTP/1.1 403 x", "X-Why: a", "X,Y: b", " c", "Location", "\t: d", "Content-Length: 0", "", ""]
    guard case .refused(let refusal) = Self.answer(lines.joined(separator: end)) else {
      Issue.record("not refused")
      return
    }
    #expect(refusal.headers.map(\.name) == ["X-Why", "Content-Length"] && refusal.headers[0].value == "a")
  }

  /// More headers than are kept cost the rest of them; a head that is too large the rest of it.
  @Test func aRefusalOverTheLimits() {
    let many = (0..<200).map { "X-\($0): y" }.joined(separator: "\r\n")
    guard case .refused(let first) = Self.answer("HTTP/1.1 403 x\r\n\(many)\r\nContent-Length: 2\r\n\r\nno") else {
      Issue.record("not refused")
      return
    }
    #expect(first.headers.count == 128)
    guard case .refused(let second) = Self.answer("HTTP/1.1 403 x\r\n\(many)\r\n\r\n", maxSize: 100) else {
      Issue.record("not refused")
      return
    }
    #expect(second.status == 403 && second.headers.count == 10)
  }

  /// What came of a 101 that is none is there as well.
  @Test func aBad101IsKept() {
    for end in ["Sec-WebSocket-Accept: x\r\n\r\n", "\r\n", " folded\r\n", "", "X"] {
      guard case .failed(let failure) = Self.answer("HTTP/1.1 101 x\r\nServer: y\r\n" + end) else {
        Issue.record("not failed")
        continue
      }
      #expect(failure.answer.status == 101 && failure.answer.headers.first?.value == "y")
    }
    guard case .failed(let nothing) = Self.answer("SSH-2.0\r\n") else {
      Issue.record("not failed")
      return
    }
    #expect(nothing.answer.status == 0 && nothing.answer.headers.isEmpty)
  }

  static func excerpt(_ body: [UInt8], sent: String = "", shown: String = "") -> String {
    let refusal = UpgradeRefusal(
      status: 418, reason: "", headers: [], body: body)
    let bytes = refusal.excerpt(sent: Array(sent.utf8), shown: Array(shown.utf8)).bytes
    #expect(bytes.count <= 160)
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test func aTextOrJSONIsQuotedOnOneLine() {
    let banned = "{\"code\":-1003,\"msg\":\"IP banned until 1659146400000.\"}"
    #expect(Self.excerpt(Array(banned.utf8)) == banned)
    #expect(Self.excerpt(Array("\r\n<html>no</html>".utf8)) == "")
    #expect(Self.excerpt([]) == "")
    #expect(Self.excerpt(Array(" \r\n\t".utf8)) == "")
    #expect(Self.excerpt(Array("\r\n{\n  \"a\": 1\n}\r\n".utf8)) == "{ \"a\": 1 }")
    #expect(Self.excerpt(Array("a\u{1B}[31m\u{9B}b\u{2028}c\u{202E}d\u{2067}e\0f\u{7F}g".utf8)) == "a [31m b c d e f g")
    #expect(Self.excerpt(Array("zu viel \u{E4}\u{20AC}\u{1F600}".utf8)) == "zu viel \u{E4}\u{20AC}\u{1F600}")
    #expect(Self.excerpt(Array("acc".utf8) + [0xE8] + Array("s refus".utf8) + [0xE9]) == "acc s refus")
    // What is compressed, or no text for another reason.
    #expect(Self.excerpt([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xAB, 0x56, 0x4A, 0xCE, 0x4F, 0x49, 0x55, 0xB2]) == "")
    #expect(Self.excerpt([UInt8](repeating: 0, count: 4096)) == "")
  }

  /// Cut at a whole character, whatever the place.
  @Test(arguments: ["x", "\u{E4}", "\u{20AC}", "\u{1F600}"]) func aLongTextIsCut(_ character: String) {
    for lead in 0..<8 {
      let text = String(repeating: "-", count: lead) + String(repeating: character, count: 400)
      let excerpt = Self.excerpt(Array(text.utf8))
      #expect(excerpt.hasSuffix("...") && text.hasPrefix(excerpt.dropLast(3)) && excerpt.utf8.count > 150)
    }
    #expect(Self.excerpt(Array((String(repeating: " ", count: 500) + character).utf8)) == character)
  }

  @Test func aTextThatRepeatsAKeyIsNotQuoted() {
    let sent = "/ws/stream?listenKey=pqia91ma19a5s61cv Bearer eyJhbGciOi"
    for key in ["pqia91ma19a5s61cv", "eyJhbGciOi", "listenKey"] {
      #expect(Self.excerpt(Array("bad \(key)!".utf8), sent: sent) == "")
    }
    #expect(Self.excerpt(Array("bad /ws/stream".utf8), sent: sent) == "bad /ws/stream")
    #expect(Self.excerpt(Array("no listenKey".utf8), sent: sent, shown: "wss://h/listenKey") == "no listenKey")
  }

  @Test func retryAfterThatIsNoNumber() {
    for value in ["Fri 31 Dec 1999 23:59:59 GMT", "-1", "", "1.5", "99999999999999999999"] {
      guard case .refused(let refusal) = Self.answer("HTTP/1.1 503 x\r\nRetry-After: \(value)\r\n\r\n") else {
        Issue.record("not refused")
        continue
      }
      #expect(refusal.retryAfter(now: 0) == nil)
    }
  }

  /// 4 KiB of the body are kept, however it is framed, and then the refusal is given without waiting for the rest.
  @Test(arguments: [
    "Content-Length: 1000000\r\n\r\n", "Connection: close\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfffff\r\n",
  ]) func longBody(_ framing: String) {
    let head = Array("HTTP/1.1 500 x\r\n\(framing)".utf8)
    let bytes = head + [UInt8](repeating: 0x61, count: 5000)
    for cuts in [[bytes.count], [Int](repeating: 1, count: bytes.count), [4000, bytes.count - 4000]] {
      let parser = UpgradeResponseParser(key: Self.key, subprotocols: [], offer: nil)
      var refusal: UpgradeRefusal?
      var used = 0
      bytes.forEachChunk(cuts) { chunk in
        used += chunk.count
        if case .refused(let found) = parser.receive(chunk) { refusal = found }
        return refusal == nil
      }
      #expect(refusal?.body == [UInt8](repeating: 0x61, count: 4096))
      if cuts[0] == 1 { #expect(used == head.count + 4096) }
    }
  }

  /// Chunks of one byte each: their framing is bounded as well.
  @Test func endlessFraming() {
    let parser = UpgradeResponseParser(key: Self.key, subprotocols: [], offer: nil)
    _ = Array("HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n1".utf8).withUnsafeBytes { parser.receive($0) }
    let noise = [UInt8](repeating: UInt8(ascii: ";"), count: 1000)
    var isDone = false
    for _ in 0..<100 where !isDone {
      if case .refused = noise.withUnsafeBytes({ parser.receive($0) }) { isDone = true }
    }
    #expect(isDone)
  }

  @Test func limits() {
    let head = Self.valid.joined(separator: "\r\n") + "\r\n\r\n"
    guard case .accepted = Self.answer(head, maxSize: head.utf8.count) else {
      Issue.record("a head of just the limit was not accepted")
      return
    }
    guard case .failed(let failure) = Self.answer(head, maxSize: head.utf8.count - 1) else {
      Issue.record("a head over the limit was accepted")
      return
    }
    #expect(failure.kind == .tooLarge)
    // The limit holds for informational answers in front together with the answer.
    let early = "HTTP/1.1 103 x\r\n\r\n"
    guard case .failed(let both) = Self.answer(early + head, maxSize: head.utf8.count) else {
      Issue.record("heads over the limit were accepted")
      return
    }
    #expect(both.kind == .tooLarge)
    #expect(both.text.contains("\(head.utf8.count) bytes"))

    let many = Self.valid + (0..<125).map { "X-\($0): y" }
    guard case .accepted = Self.answer(many.joined(separator: "\r\n") + "\r\n\r\n") else {
      Issue.record("many headers were not accepted")
      return
    }
    guard case .failed(let count) = Self.answer((many + ["A: b"]).joined(separator: "\r\n") + "\r\n\r\n") else {
      Issue.record("too many headers were accepted")
      return
    }
    #expect(count.kind == .tooLarge)
    #expect(count.text.contains("128"))
  }

  /// What the peer says is quoted without control characters and cut.
  @Test func quotedBanner() {
    let banner = "SSH-2.0-\u{1B}[31m" + String(repeating: "x", count: 300) + "\r\n"
    guard case .failed(let failure) = Self.answer(banner) else {
      Issue.record("not failed")
      return
    }
    #expect(failure.text.contains("\"SSH-2.0-\\x1B[31mxxx"))
    #expect(failure.text.utf8.count < 200)
    expectPlain(failure.text)
  }

  @Test func settingsOfHTTP2() {
    guard case .failed(let failure) = Self.answer("\u{0}\u{0}\u{12}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}xx") else {
      Issue.record("not failed")
      return
    }
    #expect(failure.text.contains("HTTP/2"))
  }
}
