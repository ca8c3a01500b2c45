// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct DemoFormsTests {
  private static let bitcoin = DemoInstrument.all[0]

  @Test func theStreamsAreThoseOfBinance() {
    let quote = DemoQuote(update: 5, bid: 6_425_010, bidQuantity: 12, ask: 6_425_030, askQuantity: 400_000)
    #expect(
      DemoForms.message(.quote(DemoFormsTests.bitcoin, quote))
        == #"{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"64250.10","B":"0.00012","a":"64250.30","A":"4.00000"}}"#)
    let trade = DemoTrade(id: 9, time: 60_001, price: 6_425_010, quantity: 12, isBuyerMaker: true)
    #expect(
      DemoForms.message(.trade(DemoFormsTests.bitcoin, trade))
        == #"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":60001,"s":"BTCUSDT","a":9,"p":"64250.10","q":"0.00012","#
        + #""f":9,"l":9,"T":60001,"m":true,"M":true}}"#)
    var candle = DemoCandle(.minute, start: 60_000, price: 6_425_000)
    candle.take(trade)
    candle.take(DemoTrade(id: 10, time: 60_002, price: 6_424_000, quantity: 100_000, isBuyerMaker: false))
    #expect(
      DemoForms.message(.candle(DemoFormsTests.bitcoin, candle, isClosed: true, time: 120_003))
        == #"{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":120003,"s":"BTCUSDT","k":{"t":60000,"T":119999,"s":"BTCUSDT","i":"1m","#
        + #""f":9,"L":10,"o":"64250.00","c":"64240.00","h":"64250.10","l":"64240.00","v":"1.00012","n":2,"x":true,"#
        + #""q":"64247.7100120","V":"1.00000","Q":"64240.0000000","B":"0"}}}"#)
    #expect(
      DemoForms.row(candle, DemoFormsTests.bitcoin)
        == #"[60000,"64250.00","64250.10","64240.00","64240.00","1.00012",119999,"64247.7100120",2,"1.00000","64240.0000000","0"]"#)
  }

  private func answer(_ query: String, method: String = "GET") -> (status: Int32, body: String) {
    DemoForms.answer(method, "/api/v3/klines" + query, DemoFormsTests.market)
  }

  private static let market = DemoMarket(seed: 1, now: 1_796_000_023_000)

  @Test func candlesAreAnswered() {
    let candles = DemoFormsTests.market.candles("DOGEUSDT", .fiveMinutes)?.1
    let rows = (candles?.closed.suffix(2) ?? []).map { DemoForms.row($0, DemoInstrument.all[5]) }
    let open = (candles?.current).map { DemoForms.row($0, DemoInstrument.all[5]) } ?? ""
    #expect(answer("?symbol=DOGEUSDT&interval=5m&limit=3") == (200, "[\(rows[0]),\(rows[1]),\(open)]"))
    let start = candles?.closed.suffix(2).first?.start ?? 0
    #expect(answer("?symbol=DOGEUSDT&interval=5m&limit=1&startTime=\(start)") == (200, "[\(rows[0])]"))
    #expect(answer("?symbol=DOGEUSDT&interval=5m&startTime=\(start)&endTime=\(start + 300_000)") == (200, "[\(rows[0]),\(rows[1])]"))
    #expect(answer("?symbol=DOGEUSDT&interval=1m").body.split(separator: "]").count == 500)
    #expect(answer("?symbol=DOGEUSDT&interval=1m&limit=5000").body.split(separator: "]").count > 600)
  }

  @Test func whatIsWrongIsRefusedWithACode() {
    for (query, code) in [
      ("", -1102), ("?symbol=BTCUSDT", -1102), ("?interval=1m&symbol=", -1102), ("?symbol=NOPE&interval=1m", -1121),
      ("?symbol=BTCUSDT&interval=2m", -1120), ("?symbol=BTCUSDT&interval=1m&limit=x", -1100),
      ("?symbol=BTCUSDT&interval=1m&limit=0", -1100), ("?symbol=BTCUSDT&interval=1m&startTime=-1", -1100),
    ] {
      let (status, body) = answer(query)
      #expect(status == 400 && JSONScanner.raw(Array(body.utf8), at: ["code"]) == "\(code)", "\(query): \(body)")
    }
    #expect(answer("", method: "POST").status == 405)
    #expect(DemoForms.answer("GET", "/api/v3/depth?symbol=BTCUSDT", DemoFormsTests.market).status == 404)
  }

  private func read(_ text: String) -> DemoRequest { DemoRequest.read(Array(text.utf8)) }

  @Test func requestsAreRead() {
    #expect(
      read(#"{"method":"SUBSCRIBE","params":["btcusdt@bookTicker","trxusdt@kline_5m"],"id":3}"#)
        == .subscribe(["btcusdt@bookTicker", "trxusdt@kline_5m"], id: "3"))
    #expect(read(#"{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade"],"id":"a"}"#) == .unsubscribe(["btcusdt@aggTrade"], id: "\"a\""))
    #expect(read(#"{"method":"LIST_SUBSCRIPTIONS","id":4}"#) == .list(id: "4"))
    for (text, code) in [
      ("nonsense", 3), ("[]", 3), (#"{"id":1}"#, 2), (#"{"method":"SUBSCRIBE","id":1}"#, 2),
      (#"{"method":"SUBSCRIBE","params":[],"id":1}"#, 2),
      (#"{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":1}"#, 2), (#"{"method":"SUBSCRIBE","params":[5],"id":1}"#, 2),
    ] {
      guard case .refused(let answer) = read(text) else {
        Issue.record("\(text) was taken")
        continue
      }
      #expect(JSONScanner.raw(Array(answer.utf8), at: ["error", "code"]) == "\(code)", "\(answer)")
      #expect(code == 3 || JSONScanner.raw(Array(answer.utf8), at: ["id"]) == "1")
    }
    #expect(DemoForms.streams.count == 4 * DemoInstrument.all.count)
  }
}
