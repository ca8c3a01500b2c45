// SPDX-License-Identifier: Apache-2.0
import PulseServe
import PulseText
import PulseWire
import Testing

struct UpgradeVerdictTests {
  private static let key = [UInt8](0..<16)
  private static let base = [
    "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: \(text(Base64.encode(key)))",
  ]

  private static func offer(_ headers: [String], line: String = "GET /ws HTTP/1.1") throws -> Result<UpgradeOffer, Refusal> {
    UpgradeOffer.read(try parsed(line, base + headers))
  }

  private static func pulse(required: Bool = false) -> UpgradeTerms {
    var terms = UpgradeTerms()
    terms.subprotocols = ["pulse.v1", "pulse.v0"]
    terms.requiresSubprotocol = required
    return terms
  }

  private static func verdict(_ headers: [String], _ terms: UpgradeTerms) throws -> UpgradeVerdict {
    UpgradeVerdict.decide(try offer(headers).get(), terms)
  }

  private static func answer(_ headers: [String], _ terms: UpgradeTerms) throws -> UpgradeAnswer {
    guard case .accepted(let answer) = try verdict(headers, terms) else { throw Failed(text: "refused") }
    return answer
  }

  /// What a client of the library makes of the answer.
  private static func seen(_ answer: UpgradeAnswer, _ names: [String], _ offer: DeflateOffer?) throws -> UpgradeAcceptance {
    let client = UpgradeResponseParser(key: key, subprotocols: names, offer: offer)
    guard case .accepted(let acceptance) = answer.bytes.withUnsafeBytes({ client.receive($0) }) else {
      throw Failed(text: text(answer.bytes))
    }
    return acceptance
  }

  @Test(arguments: [
    ("pulse.v1", 0), ("chat, pulse.v0, pulse.v1", 0), ("pulse.v0", 1), ("pulse.token.YWJj, pulse.v1", 0), ("pulse.v0, pulse.token.YWJj", 1),
  ]) func choosesByTheServersOrder(_ names: String, _ index: Int) throws {
    let answer = try Self.answer(["Sec-WebSocket-Protocol: \(names)"], Self.pulse(required: true))
    #expect(answer.subprotocol == index)
    let acceptance = try Self.seen(answer, names.split(separator: ", ").map(String.init), nil)
    #expect(acceptance.subprotocol == ["pulse.v1", "pulse.v0"][index])
    #expect(!text(answer.bytes).contains("token"))
  }

  @Test func tokens() throws {
    let offer = try Self.offer(["Sec-WebSocket-Protocol: pulse.v1, pulse.token.aGV5X34-_w"]).get()
    #expect(offer.subprotocols == ["pulse.v1"] && offer.token == Array("hey_~>".utf8) + [0xFF])
    #expect(try Self.offer([]).get().token == nil)
    for bad in [
      "pulse.token.", "pulse.token.a", "pulse.token.ab+c", "pulse.token.YQ, pulse.token.Yg", "pulse.token.YR",
      "pulse.token." + String(repeating: "A", count: 10_924 + 4),
    ] {
      guard case .failure(let refusal) = try Self.offer(["Sec-WebSocket-Protocol: pulse.v1, \(bad)"]) else {
        Issue.record("taken: \(bad)")
        continue
      }
      #expect(refusal.status == 400 && !text(refusal.message).contains("pulse.token"))
    }
    #expect(try Self.offer(["Sec-WebSocket-Protocol: pulse.token." + String(repeating: "A", count: 10_922)]).get().token?.count == 8191)
    // A token that is no subprotocol by its form is not repeated either.
    guard case .failure(let refusal) = try Self.offer(["Sec-WebSocket-Protocol: pulse.token.a=b"]) else {
      Issue.record("taken")
      return
    }
    #expect(!text(refusal.message).contains("a=b"))
  }

  @Test func noCommonSubprotocol() throws {
    guard case .refused(let none) = try Self.verdict(["Sec-WebSocket-Protocol: chat"], Self.pulse()),
      case .refused(let missing) = try Self.verdict([], Self.pulse(required: true)),
      case .refused(let token) = try Self.verdict(["Sec-WebSocket-Protocol: pulse.token.YQ"], Self.pulse(required: true))
    else {
      Issue.record("accepted")
      return
    }
    #expect("\(none.code)" == "no_common_subprotocol" && text(none.message).contains("\"pulse.v1\", \"pulse.v0\""))
    #expect("\(missing.code)" == "subprotocol_required" && "\(token.code)" == "subprotocol_required")
    #expect(try Self.answer([], Self.pulse()).subprotocol == nil)
    // A plain route takes everybody, and echoes nothing.
    let plain = try Self.answer(["Sec-WebSocket-Protocol: chat"], UpgradeTerms())
    #expect(plain.subprotocol == nil && !text(plain.bytes).contains("Sec-WebSocket-Protocol"))
  }

  @Test(arguments: [
    ("permessage-deflate", true), ("permessage-deflate; client_max_window_bits", true),
    ("permessage-deflate; server_max_window_bits=15", true),
    ("permessage-deflate; server_max_window_bits=14", false), ("permessage-deflate; server_max_window_bits=8", false),
    ("permessage-deflate; server_max_window_bits=10, permessage-deflate", true), ("permessage-deflate; server_no_context_takeover", true),
    ("x-webkit-deflate-frame", false),
  ]) func deflate(_ header: String, _ isAgreed: Bool) throws {
    let answer = try Self.answer(["Sec-WebSocket-Extensions: \(header)"], UpgradeTerms())
    #expect((answer.deflate != nil) == isAgreed)
    if let deflate = answer.deflate { #expect(deflate.serverNoContextTakeover && deflate.serverMaxWindowBits == 15) }
    #expect(text(answer.bytes).contains("server_no_context_takeover") == isAgreed)
    #expect(text(answer.bytes).contains("Sec-WebSocket-Extensions") == isAgreed)
  }

  @Test func deflateAsAClientSeesIt() throws {
    let offer = DeflateOffer(serverMaxWindowBits: 15)
    let answer = try Self.answer(["Sec-WebSocket-Extensions: \(offer.headerValue)"], UpgradeTerms())
    #expect(try Self.seen(answer, [], offer).deflate == answer.deflate)
    var terms = UpgradeTerms()
    terms.compression?.clientNoContextTakeover = true
    terms.compression?.serverMaxWindowBits = 9
    let flagged = try Self.answer(["Sec-WebSocket-Extensions: \(offer.headerValue)"], terms)
    #expect(flagged.deflate?.clientNoContextTakeover == true && flagged.deflate?.serverMaxWindowBits == 15)
    terms.compression = nil
    #expect(try Self.answer(["Sec-WebSocket-Extensions: permessage-deflate"], terms).deflate == nil)
  }

  @Test func headers() throws {
    var terms = UpgradeTerms()
    terms.headers = [(name: "Server", value: "s")]
    #expect(text(try Self.answer([], terms).bytes).contains("\r\nServer: s\r\n"))
    terms.headers = [(name: "Server", value: "s\r\n")]
    guard case .refused(let refusal) = try Self.verdict([], terms) else {
      Issue.record("accepted")
      return
    }
    #expect(refusal.status == 500)
  }

  @Test func badHandshakes() throws {
    func refusal(_ headers: [String], line: String = "GET /ws HTTP/1.1") throws -> Refusal {
      guard case .failure(let refusal) = UpgradeOffer.read(try parsed(line, headers)) else { throw Failed(text: "accepted") }
      return refusal
    }
    let version = try refusal(Self.base.map { $0.replacing("13", with: "8") })
    #expect(version.status == 426 && version.closes)
    let answer = Answer(version.encode(to: nil, requestID: "", date: 0))
    #expect(answer["sec-websocket-version"] == "13" && answer["upgrade"] == "websocket" && answer["connection"] == "Upgrade, close")
    #expect(try refusal(Array(Self.base.dropLast())).status == 400)
    #expect(try refusal(Self.base, line: "POST /ws HTTP/1.1").status == 405)
    #expect(try refusal([]).status == 426)
    #expect(try refusal(Self.base + ["Sec-WebSocket-Extensions: ;"]).status == 400)
  }
}
