// SPDX-License-Identifier: Apache-2.0
import Foundation
import PulseServe
import PulseText
import PulseWire
import Testing

struct AnswerTests {
  private struct Body: Decodable {
    struct Problem: Decodable {
      var code: String
      var message: String
      var request_id: String
      var status: Int
    }
    var error: Problem
  }

  static let date: Int64 = 784_111_777

  @Test func refusalIsJSON() throws {
    let origin = Array("https://\"evil\"\u{E9}\\".utf8)
    let refusal = Refusal.originForbidden(origin[...])
    let answer = Answer(refusal.encode(to: try parsed(), requestID: "r-\"1", date: Self.date))
    #expect(answer.status == 403 && answer.reason == "Forbidden")
    #expect(answer["content-type"] == "application/json" && answer["cache-control"] == "no-store")
    #expect(answer["connection"] == "keep-alive" && answer["date"] == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(answer["content-length"] == "\(answer.body.utf8.count)")
    let body = try JSONDecoder().decode(Body.self, from: Data(answer.body.utf8)).error
    #expect(body.code == "origin_forbidden" && body.status == 403 && body.request_id == "r-\"1")
    #expect(body.message == text(refusal.message) && body.message.contains("https://"))
  }

  @Test func connectionOfARefusal() throws {
    func connection(_ refusal: Refusal, _ request: Request?, keepsAlive: Bool = true) -> String? {
      Answer(refusal.encode(to: request, requestID: "", date: 0, keepsAlive: keepsAlive))["connection"]
    }
    #expect(connection(.forbidden("no"), try parsed()) == "keep-alive")
    #expect(connection(.forbidden("no"), try parsed(), keepsAlive: false) == "close")
    #expect(connection(.forbidden("no"), nil) == "close")
    #expect(connection(.badRequest("no"), try parsed()) == "close")
    #expect(connection(.forbidden("no"), try parsed("GET / HTTP/1.0")) == "close")
    #expect(connection(.forbidden("no"), try parsed("GET / HTTP/1.1", ["Upgrade: websocket", "Connection: Upgrade"])) == "close")
    #expect(Refusal.badRequest("the peer speaks TLS", status: 0).encode(to: nil, requestID: "", date: 0) == [])
  }

  @Test func headHasNoBody() throws {
    let get = Answer(Refusal.forbidden("no").encode(to: try parsed(), requestID: "", date: 0))
    let head = Answer(Refusal.forbidden("no").encode(to: try parsed("HEAD / HTTP/1.1"), requestID: "", date: 0))
    #expect(head.body == "" && head["content-length"] == get["content-length"])
  }

  @Test func usualRefusals() {
    let all: [(Refusal, Int, String, UInt16, String?)] = [
      (.noSuchPath("no"), 404, "no_such_path", 4040, nil), (.forbidden("no"), 403, "forbidden", 4003, nil),
      (.originForbidden(nil), 403, "origin_forbidden", 4003, nil),
      (.unauthenticated("no"), 401, "unauthenticated", 4001, "WWW-Authenticate"),
      (.token(.expired), 401, "token_expired", 4009, "WWW-Authenticate"),
      (.token(.badSignature), 401, "token_bad_signature", 4001, "WWW-Authenticate"),
      (.tooMany("no", retryAfter: 3), 429, "rate_limited", 4029, "Retry-After"),
      (.unavailable("no", retryAfter: 3), 503, "unavailable", 1013, "Retry-After"),
      (.requestTimeout(), 408, "request_timeout", 0, nil), (.badRequest("no"), 400, "bad_request", 0, nil),
    ]
    for (refusal, status, code, closeCode, header) in all {
      #expect(refusal.status == status && "\(refusal.code)" == code && refusal.closeCode == closeCode)
      #expect(refusal.headers.first?.name == header)
      #expect(closeCode == 0 || CloseCode.isAllowedOnWire(closeCode))
      let answer = Answer(refusal.encode(to: nil, requestID: "", date: 0, headers: [(name: "Server", value: "s")]))
      #expect(!answer.reason.isEmpty && answer["server"] == "s")
      if let header { #expect(answer[header.lowercased()] == refusal.headers.first?.value) }
    }
  }

  private static func encoded(_ response: Response, _ line: String = "GET / HTTP/1.1", keepsAlive: Bool = true) throws -> Answer {
    switch response.encode(to: try parsed(line), date: date, keepsAlive: keepsAlive) {
    case .success(let bytes): return Answer(bytes)
    case .failure(let failure): throw Failed(text: failure.text)
    }
  }

  @Test func response() throws {
    let page = Response(200, contentType: "text/html", headers: [(name: "X-A", value: "b")], body: Array("hello".utf8))
    let answer = try Self.encoded(page)
    #expect(answer.status == 200 && answer.reason == "OK" && answer.body == "hello" && answer["content-length"] == "5")
    #expect(answer["content-type"] == "text/html" && answer["x-a"] == "b" && answer["connection"] == "keep-alive")
    #expect(answer["date"] == "Sun, 06 Nov 1994 08:49:37 GMT")
    let head = try Self.encoded(page, "HEAD / HTTP/1.1")
    #expect(head.body == "" && head["content-length"] == "5")
    #expect(try Self.encoded(page, keepsAlive: false)["connection"] == "close")
    #expect(try Self.encoded(page, "GET / HTTP/1.0")["connection"] == "close")
    for status in [204, 304] {
      let empty = try Self.encoded(Response(status))
      #expect(empty.body == "" && empty["content-length"] == nil && empty["content-type"] == nil)
    }
    #expect(try Self.encoded(Response(201))["content-length"] == "0")
    let own = Response(200, headers: [(name: "content-type", value: "a/b"), (name: "Date", value: "d")], body: [65])
    #expect(try Self.encoded(own)["content-type"] == "a/b")
    #expect(try Self.encoded(own)["date"] == "d")
    #expect(try Self.encoded(Response(299)).reason == "")
  }

  @Test func responsesThatCannotBe() {
    let bad = [
      Response(101), Response(600), Response(-1), Response(204, body: [1]), Response(304, body: [1]),
      Response(200, headers: [(name: "Content-Length", value: "1")]), Response(200, headers: [(name: "Connection", value: "x")]),
      Response(200, headers: [(name: "Transfer-Encoding", value: "chunked")]), Response(200, headers: [(name: "a b", value: "")]),
      Response(200, headers: [(name: "A", value: "b\r\nSet-Cookie: c")]), Response(200, headers: [(name: "A", value: "b\u{0}")]),
    ]
    for response in bad { expectPlain(response.problem ?? "") }
    #expect(Response(200).problem == nil)
  }

  @Test func goOn() {
    #expect(text(Response.goOn.bytes) == "HTTP/1.1 100 Continue\r\n\r\n")
  }
}
