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

  private static let coinbase =
    #"{"candles":[{"start":"600","low":"1.10","high":"4.0","open":"2.00","close":"3.000","volume":"5.00000001"},"#
    + #"{"start":"300","low":"1","high":"1","open":"1","close":"1","volume":"0"}]}"#
  private static let kraken =
    #"{"error":[],"result":{"XXBTZUSD":[[300,"2.00","4.0","1.10","3.000","2.5","5.00000001",23],[600,"3","3","3","3","3","1",1]],"last":300}}"#
  private static let deribit =
    #"{"jsonrpc":"2.0","result":{"volume":[5.00000001,1],"ticks":[300000,600000],"status":"ok","open":[2.00,3],"low":[1.10,3],"#
    + #""high":[4.0,3],"cost":[9,9],"close":[3.000,3]},"usIn":1,"testnet":false}"#

  /// Seconds and milliseconds, names and columns, the newest first and last.
  @Test func coinbaseKrakenAndDeribitHaveFormsOfTheirOwn() throws {
    func wanted(_ start: Int64) -> Candle {
      Candle(start: start, open: "2.00", high: "4.0", low: "1.10", close: "3.000", volume: "5.00000001")
    }
    #expect(try candles(HistorySourceTests.coinbase, "coinbase").map(\.start) == [300_000, 600_000])
    #expect(try candles(HistorySourceTests.coinbase, "coinbase").last == wanted(600_000))
    #expect(try candles(HistorySourceTests.kraken, "kraken").map(\.start) == [300_000, 600_000])
    #expect(try candles(HistorySourceTests.kraken, "kraken").first == wanted(300_000))
    #expect(try candles(HistorySourceTests.deribit, "deribit").map(\.start) == [300_000, 600_000])
    #expect(try candles(HistorySourceTests.deribit, "deribit").first == wanted(300_000))
    #expect(try candles(#"{"candles":[]}"#, "coinbase") == [])
    #expect(try candles(#"{"error":[],"result":{"last":0,"XXBTZUSD":[]}}"#, "kraken") == [])
    let none = #"{"result":{"volume":[],"ticks":[],"status":"no_data","open":[],"low":[],"high":[],"cost":[],"close":[]}}"#
    #expect(try candles(none, "deribit") == [])
  }

  @Test(arguments: [
    ("coinbase", #"{"error":"NOT_FOUND","message":"valid product_id is required"}"#, "valid product_id"),
    ("coinbase", "[]", "the exchange says []"), ("coinbase", #"{"candles":{}}"#, "the exchange says"),
    ("coinbase", #"{"candles":[{"start":"300","low":"1","high":"1","open":"1","volume":"0"}]}"#, "entry 1"),
    ("coinbase", #"{"candles":[["300","1","1","1","1","1"]]}"#, "entry 1"),
    ("coinbase", #"{"candles":[{"start":"99999999999999999","low":"1","high":"1","open":"1","close":"1","volume":"0"}]}"#, "entry 1"),
    ("kraken", #"{"error":["EQuery:Unknown asset pair"]}"#, "Unknown asset pair"),
    ("kraken", #"{"error":["EGeneral:Too many requests"],"result":{"A":[],"last":1}}"#, "Too many requests"),
    ("kraken", #"{"error":[],"result":{"last":1}}"#, "the exchange says"),
    ("kraken", #"{"error":[],"result":{"A":[],"B":[],"last":1}}"#, "the exchange says"),
    ("kraken", #"{"error":[],"result":{"A":[[300,"1","1","1","1","1"]],"last":1}}"#, "entry 1"), ("kraken", "{}", "the exchange says {}"),
    ("kraken", #"{"result":{"A":[],"last":1}}"#, "the exchange says"), ("kraken", #"{"error":[],"result":{"A":7}}"#, "the exchange says"),
    ("deribit", #"{"error":{"message":"Invalid params","code":-32602}}"#, "Invalid params"),
    ("deribit", coinbase, "the exchange says"),
    (
      "deribit", #"{"result":{"status":"ok","ticks":[1,2],"open":[1,1],"high":[1,1],"low":[1,1],"close":[1,1],"volume":[1]}}"#,
      "not of one length"
    ),
    ("deribit", #"{"result":{"status":"ok","ticks":[1],"open":[1],"high":[1],"low":[1],"close":[1]}}"#, "the exchange says"),
    (
      "deribit", #"{"result":{"status":"ok","ticks":[1,2],"open":[1,1],"high":[1,null],"low":[1,1],"close":[1,1],"volume":[1,1]}}"#,
      "entry 2"
    ),
  ])
  func whatTheyDoNotAnswerIsTold(_ preset: String, _ text: String, _ part: String) throws {
    guard case .failure(let problem) = try read(text, preset) else {
      Issue.record("\(text) was taken")
      return
    }
    #expect(problem.text.contains(part), "\(problem.text)")
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

  @Test func someAreAskedForTimes() throws {
    let (range, now) = (HistoryWindow.range(600_000...1_200_000), Int64(3_601_234))
    let base = "https://h/{symbol}/candles"
    let coinbase = try topic("BTC-USD", "5m", "coinbase")
    #expect(
      try source("coinbase").target(base, coinbase, range, now: now)
        == "https://h/BTC-USD/candles?start=600&end=1500&granularity=FIVE_MINUTE")
    #expect(
      try source("coinbase").target(base, coinbase, .latest(3), now: now)
        == "https://h/BTC-USD/candles?start=2700&end=3900&granularity=FIVE_MINUTE")
    // Never more than the exchange gives.
    #expect(
      try source("coinbase").target(base, coinbase, .latest(5000), now: 900_000_000)
        == "https://h/BTC-USD/candles?start=810000&end=900300&granularity=FIVE_MINUTE")
    let kraken = try topic("BTC/USD", "1h", "kraken")
    #expect(try source("kraken").target("https://h/o", kraken, range) == "https://h/o?pair=BTC%2FUSD&interval=60&since=599")
    #expect(try source("kraken").target("https://h/o", kraken, .latest(3)) == "https://h/o?pair=BTC%2FUSD&interval=60")
    let deribit = try topic("BTC-PERPETUAL", "1h", "deribit")
    #expect(
      try source("deribit").target("https://h/c", deribit, .latest(1), now: 7_201_000)
        == "https://h/c?instrument_name=BTC-PERPETUAL&start_timestamp=3600000&end_timestamp=10800000&resolution=60")
    #expect(
      try source("deribit").target("https://h/c", deribit, .latest(50), now: 7_201_000)
        == "https://h/c?instrument_name=BTC-PERPETUAL&start_timestamp=0&end_timestamp=10800000&resolution=60")
    #expect(
      try source("coinbase").target(base, topic("A/B?-USD", "5m", "coinbase"), range).hasPrefix("https://h/A%2FB%3F-USD/candles?start="))
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
