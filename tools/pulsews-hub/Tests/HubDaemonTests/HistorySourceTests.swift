// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct HistorySourceTests {
  private func source(_ preset: String) throws -> HistorySource { try #require(HistorySource.known[preset]) }

  private func topic(_ symbol: String = "SOLUSDT", _ interval: String = "1m", _ preset: String = "binance-spot") throws -> CandleTopic {
    try #require(HistoryConfig.topic(symbol, FeedStreams.known[preset]?.intervals[interval] ?? interval, preset))
  }

  private func read(_ text: String, _ preset: String = "binance-spot") throws -> Result<[HistoryRow], Surroundings.Sentence> {
    try source(preset).read(Array(text.utf8), topic())
  }

  private func candles(_ text: String, _ preset: String = "binance-spot") throws -> [Candle] { try read(text, preset).get().map(\.candle) }

  @Test func numbersMayBeTextsAndKeepTheirDigits() throws {
    let wanted = Candle(start: 60000, open: "0.00000012", high: "16795610.22313256", low: "0.00009669", close: "1.50", volume: "0")
    let asTexts = #"[[60000,"0.00000012","16795610.22313256","9.669E-05","1.50","0",119999,"0",0,"0","0","0"]]"#
    #expect(try candles(asTexts) == [wanted])
    #expect(try candles("[[\"60000\", 0.00000012 ,16795610.22313256,9.669E-05,1.50,0]]") == [wanted])
    #expect(try candles(" [ ] ") == [])
  }

  @Test func bybitAndOKXBeginWithTheNewest() throws {
    let bybit =
      #"{"retCode":0,"result":{"symbol":"SOLUSDT","list":[["120000","2","2","2","2","2","4"],["60000","1","1","1","1","1","1"]]}}"#
    #expect(try candles(bybit, "bybit").map(\.start) == [60000, 120_000])
    let okx = #"{"code":"0","msg":"","data":[["120000","2","2","2","2","2","4","4","0"],["60000","1","1","1","1","1","1","1","1"]]}"#
    #expect(try read(okx, "okx").get().map(\.isOpen) == [false, true])
  }

  @Test(arguments: [
    ("", "no JSON"), ("<html><body>502</body></html>", "no JSON: <html>"), (#"[[60000,"1","1","1","1","1"]"#, "no JSON"),
    ("[[60000,\"1\",", "no JSON"),
    ("[[1,1,1,1,1,1]] x", "no JSON"), (#"{"code":-1121,"msg":"Invalid symbol."}"#, "Invalid symbol"), ("null", "says null"),
    ("7", "says 7"),
    ("[1]", "entry 1"), ("[{}]", "entry 1"), ("[[60000,\"1\",\"1\",\"1\",\"1\"]]", "entry 1"),
    ("[[60000,1,1,1,1,1],[null,1,1,1,1,1]]", "entry 2"),
    ("[[60000,\"1\",\"abc\",\"1\",\"1\",\"1\"]]", "entry 1"), ("[[60000,true,1,1,1,1]]", "entry 1"), ("[[60000,[1],1,1,1,1]]", "entry 1"),
    ("[[-60000,1,1,1,1,1]]", "entry 1"), ("[[6e4,1,1,1,1,1]]", "entry 1"), ("[[99999999999999999999,1,1,1,1,1]]", "entry 1"),
    ("[[9223372036854775807,1,1,1,1,1]]", "entry 1"), ("[[60000,1,1,1,1,1],[60000,2,2,2,2,2]]", "twice"),
  ])
  func whatIsNoAnswerIsTold(_ text: String, _ part: String) throws {
    guard case .failure(let problem) = try read(text) else {
      Issue.record("\(text) was taken")
      return
    }
    #expect(problem.text.contains(part), "\(problem.text)")
    #expect(problem.text.utf8.count < 300)
  }

  @Test func anotherSymbolAndErrorsOfOthersAreTold() throws {
    func told(_ text: String, _ preset: String) throws -> String? {
      if case .failure(let problem) = try read(text, preset) { problem.text } else { nil }
    }
    #expect(try told(#"{"retCode":0,"result":{"symbol":"BTCUSDT","list":[]}}"#, "bybit") == "the answer is of BTCUSDT, and not of SOLUSDT")
    #expect(try told(#"{"retCode":10006,"retMsg":"Too many visits!"}"#, "bybit")?.contains("Too many visits") == true)
    #expect(try told(#"{"code":"51001","msg":"Instrument ID does not exist","data":[]}"#, "okx")?.contains("Instrument ID") == true)
    #expect(try told("[]", "bybit")?.hasPrefix("the exchange says") == true)
  }

  @Test func aDeepAnswerIsNoJSON() throws {
    let deep = String(repeating: "[", count: 100_000)
    guard case .failure = try read(deep) else {
      Issue.record("it was taken")
      return
    }
  }

  @Test func requestsAreThoseOfTheExchange() throws {
    let range = HistoryWindow.range(60000...180_000)
    #expect(
      try source("binance-spot").target("https://h/k", topic(), range)
        == "https://h/k?symbol=SOLUSDT&interval=1m&limit=1000&startTime=60000&endTime=180000")
    #expect(try source("binance-spot").target("https://h/k", topic(), .latest(501)) == "https://h/k?symbol=SOLUSDT&interval=1m&limit=501")
    #expect(
      try source("bybit").target("https://h/k?category=spot", topic("SOLUSDT", "1h", "bybit"), range)
        == "https://h/k?category=spot&symbol=SOLUSDT&interval=60&limit=1000&start=60000&end=180000")
    #expect(
      try source("okx").target("https://h/k", topic("SOL-USDT", "1h", "okx"), range)
        == "https://h/k?instId=SOL-USDT&bar=1H&limit=300&before=59999&after=180001")
    #expect(try source("binance-spot").target("https://h/k", topic("A&b=/\u{e9}USDT"), .latest(2)).contains("symbol=A%26B%3D%2F%C3%89USDT"))
  }

  @Test func theMarketOfBybitIsThatOfTheFeed() throws {
    #expect(
      try source("bybit").url(ofFeed: "wss://stream.bybit.com/v5/public/linear") == "https://api.bybit.com/v5/market/kline?category=linear")
    #expect(try source("bybit").url(ofFeed: "ws://127.0.0.1:1/") == nil)
  }

  @Test func topicsAreThoseOfTheMap() throws {
    #expect(try topic().name == "candle.SOL.1m")
    #expect(try topic("USDT").name == "candle.USDT.1m")
    let small = try topic("solusdt")
    #expect(small.name == "candle.SOL.1m" && small.exchangeSymbol == "SOLUSDT")
    #expect(try topic("BTCUSDT", "1d", "bybit").name == "candle.BTC.1d")
    #expect(try topic("BTCUSDT", "D", "bybit").name == "candle.BTC.1d")
    let okx = try topic("BTC-USDT", "4h", "okx")
    #expect(okx.name == "candle.BTC.4h" && okx.length == 14_400_000 && okx.exchangeInterval == "4H")
    #expect(
      ["1s", "15m", "1w", "1M", "1Dutc", "m", "0m", "-1m", "9999999999999999999m", ""].map { CandleTopic.length($0) } == [
        1000, 900_000, 604_800_000, nil, nil, nil, nil, nil, nil, nil,
      ])
  }

  @Test func candlesAreWrittenAsTheMapDoes() throws {
    let candle = Candle(start: 60000, open: "1", high: "2.0", low: "0.50", close: "1.5", volume: "10")
    #expect(
      try topic().json(candle)
        == #"{"type":"candle","symbol":"SOL","interval":"1m","start":60000,"open":"1","high":"2.0","low":"0.50","close":"1.5","volume":"10","closed":true}"#
    )
    #expect(
      try topic().json(.empty(60000, close: "1.50"))
        == #"{"type":"candle","symbol":"SOL","interval":"1m","start":60000,"open":"1.50","high":"1.50","low":"1.50","close":"1.50","volume":"0","closed":true,"empty":true}"#
    )
    #expect(try topic().gapJSON(60000) == #"{"type":"candle","symbol":"SOL","interval":"1m","start":60000,"gap":true}"#)
  }
}
