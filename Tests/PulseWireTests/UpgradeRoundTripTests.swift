// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseWire

/// Client and server against each other, through bytes only.
struct UpgradeRoundTripTests {
  static let key = Array((0..<16).map { UInt8($0 * 17) })

  static func request(_ bytes: [UInt8]) throws -> UpgradeRequestInfo {
    let parser = UpgradeRequestParser()
    switch bytes.withUnsafeBytes({ parser.receive($0) }) {
    case .request(let info): return info
    case .failed(let failure): throw failure
    case .needMoreBytes: throw UpgradeRequestFailure(status: 0, text: "incomplete")
    }
  }

  static let bits: [Int?] = [nil, 8, 9, 12, 15]
  static let offers: [DeflateOffer] = [false, true].flatMap { clientFlag in
    [false, true].flatMap { serverFlag in
      ([0] + bits).flatMap { client in
        bits.map { server in
          DeflateOffer(
            clientNoContextTakeover: clientFlag, serverNoContextTakeover: serverFlag, clientMaxWindowBits: client,
            serverMaxWindowBits: server)
        }
      }
    }
  }

  static let policies: [DeflatePolicy] = [false, true].flatMap { clientFlag in
    [false, true].flatMap { serverFlag in
      [8, 9, 11, 15, 99].flatMap { client in
        [-1, 9, 11, 15].map { server in
          var policy = DeflatePolicy()
          policy.clientNoContextTakeover = clientFlag
          policy.serverNoContextTakeover = serverFlag
          policy.clientMaxWindowBits = client
          policy.serverMaxWindowBits = server
          return policy
        }
      }
    }
  }

  @Test(arguments: offers) func everyOfferAndPolicy(_ offer: DeflateOffer) throws {
    let request = UpgradeRequest(target: "/x", hostHeader: "h", key: Self.key, offerDeflate: offer)
    let info = try Self.request(request.encode().get())
    #expect(info.deflateOffers == [offer])
    for policy in Self.policies {
      let agreed = negotiateDeflate(offers: info.deflateOffers, policy: policy)
      // zlib can't compress with a window of 2^8.
      #expect((agreed == nil) == (offer.serverMaxWindowBits == 8))
      let answer = try UpgradeResponse.accept(info, deflateAnswer: agreed?.answer).get()
      let parser = UpgradeResponseParser(request: request)
      guard case .accepted(let accepted) = answer.withUnsafeBytes({ parser.receive($0) }) else {
        Issue.record("\(agreed?.answer ?? "") is not accepted for \(offer.headerValue)")
        continue
      }
      #expect(accepted.consumed == answer.count)
      guard let server = agreed?.parameters, let client = accepted.deflate else {
        #expect(agreed == nil && accepted.deflate == nil)
        continue
      }
      // Both sides know the same, but that a client may have bound itself to less than the server knows.
      #expect(client.serverMaxWindowBits == server.serverMaxWindowBits)
      #expect(client.clientMaxWindowBits <= server.clientMaxWindowBits)
      #expect(client.clientNoContextTakeover == server.clientNoContextTakeover)
      #expect(client.serverNoContextTakeover == server.serverNoContextTakeover)
      #expect((9...15).contains(server.serverMaxWindowBits) && (9...15).contains(server.clientMaxWindowBits))
      // What was asked for is kept.
      #expect(client.serverMaxWindowBits <= offer.serverMaxWindowBits ?? 15)
      #expect(!offer.serverNoContextTakeover || client.serverNoContextTakeover)
      #expect(!offer.clientNoContextTakeover || client.clientNoContextTakeover)
      if let bits = offer.clientMaxWindowBits, bits != 0 { #expect(client.clientMaxWindowBits <= bits) }
      if offer.clientMaxWindowBits == nil { #expect(client.clientMaxWindowBits == 15) }
      #expect(!policy.serverNoContextTakeover || client.serverNoContextTakeover)
      #expect(!policy.clientNoContextTakeover || client.clientNoContextTakeover)
    }
  }

  @Test func firstAcceptableOfferWins() throws {
    let offers = [
      DeflateOffer(clientMaxWindowBits: nil, serverMaxWindowBits: 8), DeflateOffer(serverMaxWindowBits: 10), DeflateOffer(),
    ]
    let agreed = try #require(negotiateDeflate(offers: offers, policy: DeflatePolicy()))
    #expect(agreed.answer == "permessage-deflate; server_max_window_bits=10")
    #expect(agreed.parameters.serverMaxWindowBits == 10)
    #expect(negotiateDeflate(offers: [], policy: DeflatePolicy()) == nil)
  }

  @Test func offersWithASmallWindowAreDeclined() {
    var policy = DeflatePolicy()
    policy.leastServerWindowBits = 15
    let small = DeflateOffer(serverMaxWindowBits: 14)
    #expect(negotiateDeflate(offers: [small], policy: policy) == nil)
    let agreed = negotiateDeflate(offers: [small, DeflateOffer(serverMaxWindowBits: 15)], policy: policy)
    #expect(agreed?.parameters.serverMaxWindowBits == 15)
    #expect(negotiateDeflate(offers: [small, DeflateOffer()], policy: policy)?.parameters.serverMaxWindowBits == 15)
  }

  @Test func offersThatCannotBeMade() {
    for bits in [-1, 1, 7, 16, Int.max] {
      let client = UpgradeRequest(
        target: "/", hostHeader: "h", key: Self.key, offerDeflate: DeflateOffer(clientMaxWindowBits: bits))
      #expect(throws: UpgradeEncodeFailure.self) { try client.encode().get() }
      let server = UpgradeRequest(
        target: "/", hostHeader: "h", key: Self.key, offerDeflate: DeflateOffer(serverMaxWindowBits: bits))
      #expect(throws: UpgradeEncodeFailure.self) { try server.encode().get() }
    }
  }

  @Test func wholeHandshake() throws {
    let url = try WebSocketURL.parse("wss://user:pw@Example.com:8443/a%20b?c=d").get()
    let request = UpgradeRequest(
      url: url, key: Self.key, subprotocols: ["v2.json", "v1.json"],
      headers: [("User-Agent", "test"), ("X-Token", "a b\tc é"), ("X-Empty", "")], offerDeflate: DeflateOffer())
    let bytes = try request.encode().get()
    #expect(
      String(decoding: bytes, as: UTF8.self) == """
        GET /a%20b?c=d HTTP/1.1\r
        Host: example.com:8443\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Key: ABEiM0RVZneImaq7zN3u/w==\r
        Sec-WebSocket-Version: 13\r
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r
        Sec-WebSocket-Protocol: v2.json, v1.json\r
        User-Agent: test\r
        X-Token: a b\tc é\r
        X-Empty: \r
        \r

        """)
    let info = try Self.request(bytes)
    #expect(info.target == "/a%20b?c=d" && info.host == "example.com:8443")
    #expect(info.subprotocols == ["v2.json", "v1.json"])
    #expect(info.headers.contains { $0 == ("X-Token", "a b\tc é") })
    #expect(info.consumed == bytes.count)

    let answer = try UpgradeResponse.accept(info, subprotocol: "v1.json", headers: [("Server", "s")]).get()
    let parser = UpgradeResponseParser(request: request)
    guard case .accepted(let accepted) = answer.withUnsafeBytes({ parser.receive($0) }) else {
      Issue.record("not accepted")
      return
    }
    #expect(accepted.subprotocol == "v1.json" && accepted.deflate == nil)
    #expect(accepted.headers.contains { $0 == ("Server", "s") })
  }

  @Test func refusalsGoThrough() throws {
    let body = Array("who are you?".utf8)
    for status in 300...599 {
      let answer = try UpgradeResponse.reject(status: status, headers: [("Retry-After", "3")], body: body).get()
      let parser = UpgradeResponseParser(key: Self.key, subprotocols: [], offer: nil)
      guard case .refused(let refusal) = answer.withUnsafeBytes({ parser.receive($0) }) else {
        Issue.record("not refused")
        continue
      }
      #expect(refusal.status == status && refusal.retryAfter(now: 0) == 3)
      #expect(refusal.body == (status == 304 ? [] : body))
    }
    for status in [-1, 0, 101, 200, 299, 600] {
      #expect(throws: UpgradeEncodeFailure.self) { try UpgradeResponse.reject(status: status).get() }
    }
  }

  // MARK: Injection

  @Test func requestsThatCannotBeBuilt() {
    let good = UpgradeRequest(target: "/", hostHeader: "h", key: Self.key)
    #expect(throws: Never.self) { try good.encode().get() }
    func refused(_ change: (inout UpgradeRequest) -> Void, sourceLocation: SourceLocation = #_sourceLocation) {
      var request = good
      change(&request)
      guard case .failure(let failure) = request.encode() else {
        Issue.record("accepted", sourceLocation: sourceLocation)
        return
      }
      expectPlain(failure.text, sourceLocation: sourceLocation)
    }
    refused { $0.key = [] }
    refused { $0.key.append(0) }
    refused { $0.target = "" }
    refused { $0.target = "x" }
    refused { $0.target = "*" }
    refused { $0.hostHeader = "" }
    for bad in ["\r", "\n", "\0", " ", "\r\nEvil: 1", "\r\n\r\nGET /evil HTTP/1.1", "\u{7F}", "é", "\t"] {
      refused { $0.target = "/a\(bad)b" }
      refused { $0.hostHeader = "h\(bad)" }
      refused { $0.subprotocols = ["a\(bad)b"] }
      refused { $0.headers = [("X\(bad)Y", "v")] }
    }
    refused { $0.target = "/#a" }
    for bad in ["\r", "\n", "\0", "\r\n folded", "\r\nEvil: 1", "\u{7F}", "\u{8}"] {
      refused { $0.headers = [("X", "ok"), ("Y", "a\(bad)b")] }
    }
    refused { $0.subprotocols = ["a", "a"] }
    refused { $0.subprotocols = [""] }
    refused { $0.headers = [("Host", "evil")] }
    refused { $0.headers = [("sec-websocket-extensions", "foo")] }
  }

  @Test func answersThatCannotBeBuilt() throws {
    let bytes = try UpgradeRequest(target: "/", hostHeader: "h", key: Self.key, subprotocols: ["a"]).encode().get()
    let info = try Self.request(bytes)
    #expect(throws: Never.self) { try UpgradeResponse.accept(info, subprotocol: "a").get() }
    #expect(throws: UpgradeEncodeFailure.self) { try UpgradeResponse.accept(info, subprotocol: "b").get() }
    #expect(throws: UpgradeEncodeFailure.self) { try UpgradeResponse.accept(info, deflateAnswer: "x\r\nEvil: 1").get() }
    #expect(throws: UpgradeEncodeFailure.self) { try UpgradeResponse.accept(info, headers: [("X", "a\nb")]).get() }
    #expect(throws: UpgradeEncodeFailure.self) {
      try UpgradeResponse.reject(status: 403, headers: [("X\r\nY", "a")]).get()
    }
  }
}
