// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseTopics
import Testing

@testable import PulseHub

private final class Collector: FeedTaker {
  var lines: [String] = []

  func take(_ output: FeedOutput) {
    lines.append([output.topic, output.key, output.payload].map { String(decoding: $0, as: UTF8.self) }.joined(separator: " "))
  }
}

/// The maps of known feeds, each with the messages that its exchange documents.
@Suite struct FeedMapTableTests {
  private func made(_ name: String, _ message: String) -> [String] {
    var problem: Sentence = ""
    guard let map = FeedMap.named(Array(name.utf8), &problem) else { return ["no map \(name)"] }
    let collector = Collector()
    let isMatched = Array(message.utf8).withUnsafeBytes { map.apply($0, receivedAt: 1_700_000_000_123_456_789, collector) }
    if !isMatched { collector.lines.append("unmatched") }
    if map.incomplete > 0 { collector.lines.append("incomplete") }
    return collector.lines
  }

  private func price(_ symbol: String, _ price: String, _ ts: String) -> String {
    #"price.\#(symbol) \#(symbol) {"type":"price_update","symbol":"\#(symbol)","price":"\#(price)","ts":\#(ts)}"#
  }

  private func candle(_ symbol: String, _ interval: String, _ start: String, _ values: String, _ closed: String = "") -> String {
    let names = ["open", "high", "low", "close", "volume"]
    let fields = zip(names, values.split(separator: " ")).map { "\"\($0)\":\"\($1)\"" }.joined(separator: ",")
    let tail = closed.isEmpty ? "" : ",\"closed\":\(closed)"
    return
      #"candle.\#(symbol).\#(interval) \#(start) {"type":"candle","symbol":"\#(symbol)","interval":"\#(interval)","start":\#(start),\#(fields)\#(tail)}"#
  }

  private func trade(_ symbol: String, _ id: String, _ price: String, _ quantity: String, _ side: String, _ ts: String) -> String {
    let part = side.isEmpty ? "" : "\"side\":\"\(side)\","
    return
      #"trade.\#(symbol)  {"type":"trade","symbol":"\#(symbol)","id":\#(id),"price":"\#(price)","quantity":"\#(quantity)",\#(part)"ts":\#(ts)}"#
  }

  @Test func everyMapCanBeRead() {
    #expect(FeedMapTable.count > 7)
    for index in 0..<FeedMapTable.count {
      var problem: Sentence = ""
      #expect(FeedMap.named(Array(FeedMapTable.name(index).bytes), &problem) != nil, "\(String(decoding: problem.bytes, as: UTF8.self))")
      #expect(!FeedMapTable.text(index).isEmpty)
    }
    #expect(made("nothing", "{}") == ["no map nothing"])
  }

  @Test func binance() {
    let kline =
      #"{"e":"kline","E":1672515782136,"s":"SOLUSDT","k":{"t":1672515780000,"T":1672515839999,"s":"SOLUSDT","i":"1m","f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0015","v":"1000","n":100,"x":false,"q":"1.0000","V":"500","Q":"0.500","B":"123456"}}"#
    let aggTrade =
      #"{"e":"aggTrade","E":1672515782136,"s":"BTCUSDT","a":12345,"p":"0.001","q":"100","f":100,"l":105,"T":1672515782136,"m":true,"M":true}"#
    for map in ["binance-spot", "binance-futures"] {
      #expect(
        made(map, #"{"stream":"solusdt@kline_1m","data":\#(kline)}"#) == [
          candle("SOL", "1m", "1672515780000", "0.0010 0.0025 0.0015 0.0020 1000", "false")
        ])
      #expect(
        made(map, #"{"stream":"btcusdt@aggTrade","data":\#(aggTrade)}"#) == [trade("BTC", "12345", "0.001", "100", "sell", "1672515782136")]
      )
    }
    #expect(
      made(
        "binance-spot",
        #"{"stream":"solusdt@bookTicker","data":{"u":400900217,"s":"SOLUSDT","b":"187.21000000","B":"31.21","a":"187.22000000","A":"40.66"}}"#
      )
        == [price("SOL", "187.21500000", "1700000000123")])
    #expect(
      made(
        "binance-spot",
        #"{"stream":"ethbtc@trade","data":{"e":"trade","E":1,"s":"ETHBTC","t":7,"p":"0.05","q":"2","T":1672515782136,"m":false,"M":true}}"#)
        == [trade("ETHBTC", "7", "0.05", "2", "buy", "1672515782136")])
    #expect(
      made(
        "binance-futures",
        #"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BTCUSDT","b":"25.3519","B":"31.21","a":"25.3652","A":"40.66"}}"#
      )
        == [price("BTC", "25.35855", "1568014460891")])
    let depth = #"{"stream":"x@depth","data":{"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,"b":[["1","2"]],"a":[]}}"#
    #expect(made("binance-spot", depth) == ["unmatched"])
  }

  @Test func coinbase() {
    let time = #""timestamp":"2023-02-09T20:30:37.167359596Z""#
    #expect(
      made(
        "coinbase",
        #"{"channel":"ticker","client_id":"",\#(time),"sequence_num":0,"events":[{"type":"snapshot","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"21932.98","best_bid":"21931.98","best_bid_quantity":"8","best_ask":"21933.98","best_ask_quantity":"9"},{"product_id":"ETH-EUR","best_bid":"1","best_ask":"2"}]}]}"#
      )
        == [price("BTC", "21932.98", "1675974637167"), price("ETH-EUR", "1.5", "1675974637167")])
    #expect(
      made(
        "coinbase",
        #"{"channel":"candles",\#(time),"events":[{"type":"snapshot","candles":[{"start":"1688998200","high":"1867.72","low":"1865.63","open":"1867.38","close":"1866.81","volume":"0.20269406","product_id":"ETH-USD"}]}]}"#
      )
        == [candle("ETH", "5m", "1688998200000", "1867.38 1867.72 1865.63 1866.81 0.20269406")])
    #expect(
      made(
        "coinbase",
        #"{"channel":"market_trades",\#(time),"events":[{"type":"update","trades":[{"trade_id":"000000000","product_id":"ETH-USD","price":"1260.01","size":"0.3","side":"BUY","time":"2019-08-14T20:42:27.265Z"}]}]}"#
      )
        == [trade("ETH", "\"000000000\"", "1260.01", "0.3", "buy", "1565815347265")])
    // Trades of before the subscription.
    #expect(
      made(
        "coinbase",
        #"{"channel":"market_trades",\#(time),"events":[{"type":"snapshot","trades":[{"trade_id":"1","product_id":"ETH-USD","price":"1","size":"1","side":"BUY","time":"2019-08-14T20:42:27.265Z"}]}]}"#
      ) == [])
    #expect(made("coinbase", #"{"channel":"subscriptions","events":[]}"#) == [])
  }

  @Test func kraken() {
    #expect(
      made(
        "kraken",
        #"{"channel":"ticker","type":"snapshot","data":[{"symbol":"ALGO/USD","bid":0.10025,"bid_qty":740.0,"ask":0.10036,"ask_qty":1361.44,"last":0.10035}]}"#
      )
        == [price("ALGO", "0.100305", "1700000000123")])
    #expect(
      made(
        "kraken",
        #"{"channel":"ohlc","type":"update","timestamp":"2023-10-04T16:25:30.524394914Z","data":[{"symbol":"BTC/EUR","open":0.5624,"high":0.5628,"low":9.669E-05,"close":0.5622,"trades":12,"volume":30927.68,"vwap":0.56,"interval_begin":"2023-10-04T16:25:00.000000000Z","interval":60,"timestamp":"2023-10-04T16:30:00Z"}]}"#
      )
        == [candle("BTC/EUR", "1h", "1696436700000", "0.5624 0.5628 0.00009669 0.5622 30927.68")])
    #expect(
      made(
        "kraken",
        #"{"channel":"trade","type":"update","data":[{"symbol":"MATIC/USD","side":"sell","price":0.5117,"qty":40.0,"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"}]}"#
      )
        == [trade("MATIC", "4665906", "0.5117", "40.0", "sell", "1695628177708")])
    #expect(made("kraken", #"{"channel":"status","data":[{"system":"online"}]}"#) == [])
  }

  @Test func bybitAndOKX() {
    #expect(
      made(
        "bybit",
        #"{"topic":"tickers.BTCUSDT","ts":1673853746003,"type":"snapshot","cs":1,"data":{"symbol":"BTCUSDT","lastPrice":"21109.77","highPrice24h":"21426.99"}}"#
      )
        == [price("BTC", "21109.77", "1673853746003")])
    #expect(made("bybit", #"{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","bid1Size":"1"},"ts":1}"#) == [])
    #expect(
      made(
        "bybit",
        #"{"topic":"kline.60.BTCUSDT","data":[{"start":1672324800000,"end":1672325099999,"interval":"60","open":"16649.5","close":"16677","high":"16677","low":"16608","volume":"2.081","turnover":"34","confirm":true,"timestamp":1672324988882}],"ts":1672324988882,"type":"snapshot"}"#
      )
        == [candle("BTC", "1h", "1672324800000", "16649.5 16677 16608 16677 2.081", "true")])
    #expect(
      made(
        "bybit",
        #"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950","BT":false}]}"#
      )
        == [trade("BTC", "\"20f43950\"", "16578.50", "0.001", "buy", "1672304486865")])
    #expect(
      made(
        "okx",
        #"{"arg":{"channel":"tickers","instId":"LTC-USDT"},"data":[{"instType":"SPOT","instId":"LTC-USDT","last":"9999.99","askPx":"9999.99","askSz":"11","bidPx":"8888.88","bidSz":"5","ts":"1597026383085"}]}"#
      )
        == [price("LTC", "9444.435", "1597026383085")])
    #expect(
      made(
        "okx",
        #"{"arg":{"channel":"candle1H","instId":"BTC-USDT"},"data":[["1597026383085","8533.02","8553.74","8527.17","8548.26","45247","529.5","529.5","0"]]}"#
      )
        == [candle("BTC", "1h", "1597026383085", "8533.02 8553.74 8527.17 8548.26 45247", "false")])
    #expect(
      made(
        "okx",
        #"{"arg":{"channel":"trades","instId":"BTC-EUR"},"data":[{"instId":"BTC-EUR","tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3"}]}"#
      )
        == [trade("BTC-EUR", "\"130639474\"", "42219.9", "0.12060306", "buy", "1630048897897")])
    #expect(made("okx", #"{"arg":{"channel":"books","instId":"B"},"data":[{"asks":[["1","2","0","1"]]}]}"#) == ["unmatched"])
  }

  @Test func deribitAndAlpaca() {
    #expect(
      made(
        "deribit",
        #"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"ticker.BTC-PERPETUAL.100ms","data":{"timestamp":1623060194301,"instrument_name":"BTC-PERPETUAL","best_bid_price":36442.0,"best_ask_price":36442.5,"last_price":36457.5}}}"#
      )
        == [price("BTC-PERPETUAL", "36442.25", "1623060194301")])
    #expect(
      made(
        "deribit",
        #"{"method":"subscription","params":{"channel":"chart.trades.BTC-PERPETUAL.1","data":{"volume":0.05219351,"tick":1573645080000,"open":8869.79,"low":8788.25,"high":8870.31,"cost":460,"close":8791.25}}}"#
      )
        == [candle("BTC-PERPETUAL", "1m", "1573645080000", "8869.79 8870.31 8788.25 8791.25 0.05219351")])
    #expect(
      made(
        "deribit",
        #"{"method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.raw","data":[{"trade_seq":1966042,"trade_id":"2696060","timestamp":1590484255886,"price":8950.0,"instrument_name":"BTC-PERPETUAL","direction":"sell","amount":10.0}]}}"#
      )
        == [trade("BTC-PERPETUAL", "\"2696060\"", "8950.0", "10.0", "sell", "1590484255886")])
    #expect(
      made(
        "alpaca",
        #"[{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,"as":4,"t":"2021-02-22T15:51:45.335689322Z"},{"T":"b","S":"SPY","o":388.985,"h":389.13,"l":388.975,"c":389.12,"v":49378,"t":"2021-02-22T19:15:00Z"},{"T":"t","i":96921,"S":"AAPL","p":126.55,"s":1,"t":"2021-02-22T15:51:44.208Z"},{"T":"q","S":"NONE","bp":0,"ap":5,"t":"2021-02-22T19:15:00Z"}]"#
      )
        == [
          price("AMD", "87.67", "1614009105335"), candle("SPY", "1m", "1614021300000", "388.985 389.13 388.975 389.12 49378"),
          trade("AAPL", "96921", "126.55", "1", "", "1614009104208"), "incomplete",
        ])
    #expect(made("alpaca", #"[{"T":"success","msg":"connected"}]"#) == [])
  }
}
