// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct PeerTests {
  @Test func rightsAreThoseOfTheLastToken() {
    var book = PeerBook()
    #expect(book[1] == nil)
    book.authenticated(1, claims: Array(#"{"sub":"s","publish":["signal_status","portfolio.a1.*"]}"#.utf8))
    #expect(book[1]?.user == "s" && book[2] == nil)
    #expect(book[1]?.mayPublish("portfolio.a1.positions") == true)
    #expect(book[1]?.mayPublish("portfolio.a2.positions") == false)
    #expect(book[1]?.mayPublish("signal_status") == true)
    book.authenticated(1, claims: Array(#"{"sub":"s","publish":["portfolio.a2.*"]}"#.utf8))
    #expect(book[1]?.mayPublish("portfolio.a1.positions") == false)
    #expect(book[1]?.mayPublish("portfolio.a2.positions") == true)
    book.authenticated(1, claims: Array(#"{"sub":"s"}"#.utf8))
    #expect(book[1]?.mayPublish("portfolio.a2.positions") == false)
    book.closed(1)
    #expect(book[1] == nil && book.count == 0)
  }

  @Test(arguments: [
    ("a.b", "a.b", true), ("a.b", "a.c", false), ("a.*", "a.b", true), ("a.*", "a.b.c", false), ("a.*", "a", false), ("*.b", "a.b", true),
    ("a.**", "a.b.c", true), ("a.**", "a", false), ("**", "a", true), ("a", "a.b", false), ("", "", true), ("a.**", "a.b", true),
  ])
  func patterns(_ pattern: String, _ name: String, _ matches: Bool) { #expect(TopicName.matches(pattern, name) == matches) }

  @Test func templates() {
    #expect(TopicTemplate("signal.{a.b}-x.{c}")?.pattern == "signal.*.*")
    #expect(TopicTemplate("signal")?.pattern == "signal")
    #expect(TopicTemplate("{a}.{b}")?.fill(Array(#"{"a":"x","b":2}"#.utf8)) == .success("x.2"))
    for text in ["", "{", "}", "a}", "{}", "{a", "{a.}", "{a{b}", "a{.b}"] { #expect(TopicTemplate(text) == nil) }
  }

  private func read(_ text: String, _ portfolio: PortfolioConfig? = PortfolioConfig(line: 1)) -> String {
    switch PeerMessage.read(Array(text.utf8), portfolio, statusTopic: { $0 == "s-1" ? "status" : nil }) {
    case .success(let message): "\(message.topic) \(message.key ?? "-")"
    case .failure(let refusal): refusal.code
    }
  }

  @Test func messagesHaveTheirTopics() {
    #expect(read(#"{"type":"position_update","data":{"account":"a1","symbol":"BTC.X"}}"#) == "portfolio.a1.positions BTC.X")
    #expect(read(#"{"type":"order","data":{"account":7,"id":12}}"#) == "portfolio.7.orders 12")
    #expect(read(#"{"type":"trade_executed","data":{"account":"a"}}"#) == "portfolio.a.trades -")
    #expect(read(#"{"type":"equity_snapshot","data":{"account":"a"}}"#) == "portfolio.a.equity -")
    #expect(read(#"{"type":"signal_status","id":"s-1","status":"filled"}"#) == "status s-1")
    #expect(read(#"{"type":"signal_status","id":"s-2"}"#) == "unknown_signal")
    for text in [
      #"{"type":"signal_status"}"#, #"{"type":"order","data":{"account":"a"}}"#, #"{"type":"order"}"#,
      #"{"type":"trade_executed","data":{"account":"a.b"}}"#, #"{"type":"trade_executed","data":{"account":"*"}}"#,
    ] {
      #expect(read(text) == "bad_request")
    }
    for text in ["", "x", "[]", "{}", #"{"type":"other"}"#, #"{"type":1}"#] { #expect(read(text) == "not_understood") }
    #expect(read(#"{"type":"trade_executed","data":{"account":"a"}}"#, nil) == "not_understood")
  }
}
