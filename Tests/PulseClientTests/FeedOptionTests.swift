// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import Testing

@testable import PulseClient

/// The options of feeds, and presets.
@Suite struct FeedOptionTests {
  private func options(_ settings: [(String, String)]) -> ClientOptions {
    var options = ClientOptions()
    for (name, value) in settings { #expect(options.set(name, value) == nil, "\(name)=\(value)") }
    return options
  }

  private func isRefused(_ name: String, _ value: String) -> Bool {
    var options = ClientOptions()
    return options.set(name, value) != nil
  }

  private func found(_ path: JSONPath?, in message: String) -> String? {
    Array(message.utf8).withUnsafeBytes { bytes in path?.value(in: bytes).map { String(decoding: $0, as: UTF8.self) } }
  }

  // MARK: Values

  @Test(arguments: ["", "sha256/", "sha256//"])
  func pins(prefix: String) {
    let text = prefix + "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    let bytes = ClientOptions.pin([UInt8](text.utf8))
    #expect(bytes?.count == 32)
    // The SHA-256 of nothing.
    #expect(bytes?.first == 0xE3 && bytes?.last == 0x55)
    #expect(options([("pin_sha256", text), ("pin_sha256", text)]).pins.count == 2)
  }

  @Test(arguments: [
    "", "sha256/", "sha256//", "47DEQpj8HBSa", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
    "sha1/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==",
    "47DEQpj8HBSa+_TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= ",
    "sha256///47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
  ])
  func notPins(text: String) {
    #expect(ClientOptions.pin([UInt8](text.utf8)) == nil)
    #expect(isRefused("pin_sha256", text))
  }

  @Test func thereIsALimitToPinsAndPaths() {
    var set = ClientOptions()
    for _ in 0..<16 { #expect(set.set("pin_sha256", String(repeating: "A", count: 43) + "=") == nil) }
    #expect(set.set("pin_sha256", String(repeating: "A", count: 43) + "=") != nil)
    for name in ["key_path", "sequence_key"] {
      for _ in 0..<4 { #expect(set.set(name, "data.s") == nil) }
      #expect(set.set(name, "data.s") != nil)
    }
    #expect(set.pins.count == 16 && set.keyPath.count == 4 && set.sequenceKey.count == 4)
  }

  @Test func pathsOfSequences() {
    let message = #"{"data":{"U":7,"u":9,"pu":6},"stream":"a@depth"}"#
    let two = options([
      ("sequence_path", "data.U,data.u"), ("sequence_previous", "data.pu"), ("sequence_key", "stream"),
    ])
    #expect(two.sequencePath.count == 2 && two.sequenceKey.count == 1)
    #expect(found(two.sequencePath.first, in: message) == "7" && found(two.sequencePath.last, in: message) == "9")
    #expect(found(two.sequencePrevious, in: message) == "6")
    #expect(found(two.sequenceKey.first, in: message) == #""a@depth""#)
    #expect(options([("sequence_path", "data.u")]).sequencePath.count == 1)
    #expect(options([("sequence_path", "a,b"), ("sequence_path", "c")]).sequencePath.count == 1)
  }

  @Test(arguments: ["", ",", "a,", ",a", "a,b,c", "a b..c", "[x]"])
  func notPathsOfSequences(text: String) { #expect(isRefused("sequence_path", text)) }

  @Test(arguments: ["", "a..b", "a[", "[-1]"])
  func notPaths(text: String) {
    for name in ["key_path", "sequence_key", "sequence_previous"] { #expect(isRefused(name, text), "\(name)") }
  }

  @Test func choices() {
    for (word, policy) in [
      ("pause", ReceiveQueuePolicy.pause), ("drop_oldest", .dropOldest), ("conflate", .conflate),
      ("disconnect", .disconnect),
    ] {
      #expect(options([("receive_queue_policy", word)]).receiveQueuePolicy == policy)
    }
    #expect(options([("sequence_rule", "increasing")]).sequenceRule == .increasing)
    #expect(options([("sequence_rule", "increasing"), ("sequence_rule", "consecutive")]).sequenceRule == .consecutive)
    #expect(options([("sequence_scope", "connection")]).sequenceScope == .connection)
    #expect(options([("tls_min_version", "1.3")]).tlsMinVersion == .v1_3)
    for name in ["receive_queue_policy", "sequence_rule", "sequence_scope", "tls_min_version"] {
      #expect(isRefused(name, "") && isRefused(name, "other") && isRefused(name, "Pause"))
    }
  }

  @Test func aValueThatIsRefusedChangesNothing() {
    var set = options([("preset", "bybit"), ("sequence_path", "a,b")])
    #expect(set.set("sequence_path", "a,,b") != nil && set.sequencePath.count == 2)
    // Not even the preset's list, which the first own value would replace.
    #expect(set.set("key_path", "..") != nil && set.keyPath.count == 1)
    #expect(set.set("twin", "http://x") != nil && set.twin == nil)
  }

  // MARK: Presets

  @Test func everyPresetIsTakenAndHasWhatItSays() {
    #expect(PresetTable.count >= 10)
    for index in 0..<PresetTable.count {
      let set = options([("preset", PulseProcess.text(PresetTable.name(index)))])
      #expect(set.preset == index)
      #expect(set.heartbeatInterval > 0)
    }
    #expect(isRefused("preset", "") && isRefused("preset", "Kraken") && isRefused("preset", "kraken\n"))
  }

  @Test func ownOptionsWinInEitherOrder() {
    let own = [("max_age", "1h"), ("rate_limit", "1/s"), ("sequence_rule", "consecutive"), ("key_path", "data.s")]
    let preset = [("preset", "binance-futures")]
    for set in [options(own + preset), options(preset + own)] {
      #expect(set.maxAge == 3_600_000_000_000)
      #expect(set.rateLimits.count == 1 && set.rateLimits.first?.count == 1)
      #expect(set.sequenceRule == .consecutive)
      #expect(set.keyPath.count == 1)
      // What was not set is the preset's.
      #expect(set.staleAction == .reconnect && set.rateLimitControl && set.rotateOn.count == 2)
    }
  }

  @Test func listsAreReplacedOnceAndThenAddedTo() {
    let set = options([("preset", "bybit"), ("heartbeat_reply", "one"), ("heartbeat_reply", "two"), ("key_path", "a")])
    #expect(set.heartbeatReply.count == 2 && set.keyPath.count == 1)
    let around = options([("heartbeat_reply", "one"), ("preset", "bybit"), ("heartbeat_reply", "two")])
    #expect(around.heartbeatReply.count == 2)
    #expect(options([("preset", "bybit")]).heartbeatReply.count == 2)
  }

  @Test func theLastPresetAddsToTheOneBefore() {
    // Two presets make little sense, but their lists must not grow together into something neither of them means.
    let twice = options([("preset", "coinbase"), ("preset", "coinbase")])
    #expect(twice.login.count == 1 && twice.rateLimits.count == 1)
  }

  @Test func theMaskHoldsEveryOption() {
    var mask = OptionMask()
    let keys = (0..<OptionTable.count).compactMap(OptionTable.entry)
    #expect(keys.count == OptionTable.count && keys.count <= 128)
    for key in keys {
      #expect(!mask[key])
      mask[key] = true
      #expect(mask[key])
    }
    for key in keys where key.index % 2 == 0 { mask[key] = false }
    for key in keys { #expect(mask[key] == (key.index % 2 == 1)) }
    #expect(OptionTable.entry(-1) == nil && OptionTable.entry(OptionTable.count) == nil)
  }

  // MARK: Presets against messages that exchanges sent

  /// What a preset's options find in a message.
  private struct Look {
    let number: [String]
    let previous: String?
    let keys: [String]
    let isRotation, isHeartbeat, confirms: Bool
  }

  private func look(_ preset: String, _ message: String) -> Look {
    let set = options([("preset", preset)])
    let text = Array(message.utf8)
    func matches(_ list: PatternList) -> Bool { text.withUnsafeBytes { list.matches($0) } }
    return Look(
      number: set.sequencePath.compactMap { found($0, in: message) },
      previous: found(set.sequencePrevious, in: message),
      keys: set.sequenceKey.compactMap { found($0, in: message) },
      isRotation: matches(set.rotateOn),
      isHeartbeat: matches(set.heartbeatReply) || matches(set.serverHeartbeat) || matches(set.heartbeatRequest),
      confirms: matches(set.subscribeConfirm))
  }

  @Test func binance() {
    let ticker = look(
      "binance-spot",
      #"{"stream":"nknusdt@bookTicker","data":{"u":499869768,"s":"NKNUSDT","b":"0.35210000","#
        + #""B":"672.00","a":"0.3526","A":"3199.0"}}"#)
    #expect(ticker.number == ["499869768"] && ticker.keys == [#""nknusdt@bookTicker""#] && !ticker.isRotation)
    let depth = look(
      "binance-spot-depth",
      #"{"stream":"a@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"A","U":499869753,"#
        + #""u":499869754,"b":[],"a":[]}}"#)
    #expect(depth.number == ["499869753", "499869754"])
    let futures = look(
      "binance-futures-depth",
      #"{"stream":"s@depth@100ms","data":{"e":"depthUpdate","E":1,"T":2,"s":"S","U":600859601193,"#
        + #""u":600859602861,"pu":600859600917,"b":[],"a":[]}}"#)
    #expect(futures.number == ["600859602861"] && futures.previous == "600859600917")
    #expect(look("binance-futures", #"{"result":null,"id":3}"#).confirms)
    #expect(look("binance-spot", #"{"e":"serverShutdown","E":1770123456789}"#).isRotation)
    #expect(look("binance-spot", #"{"stream":"x","data":{"e":"serverShutdown","E":1}}"#).isRotation)
    // A kline has no number of its own.
    #expect(
      look(
        "binance-spot",
        #"{"stream":"b@kline_1m","data":{"e":"kline","E":1,"s":"B","#
          + #""k":{"t":1}}}"#
      ).number.isEmpty)
  }

  @Test func coinbase() {
    let ticker = look(
      "coinbase",
      #"{"channel":"ticker","client_id":"","timestamp":"2023-02-09T20:30:37Z","sequence_num":0,"#
        + #""events":[{"type":"snapshot","tickers":[{"product_id":"BTC-USD"}]}]}"#)
    #expect(ticker.number == ["0"] && !ticker.isHeartbeat)
    #expect(
      look(
        "coinbase",
        #"{"channel":"heartbeats","sequence_num":3,"#
          + #""events":[{"heartbeat_counter":"3049"}]}"#
      ).isHeartbeat)
  }

  @Test func kraken() {
    #expect(look("kraken", #"{"channel":"heartbeat"}"#).isHeartbeat)
    #expect(look("kraken", #"{"method":"pong","req_id":101,"time_in":"a","time_out":"b"}"#).isHeartbeat)
    #expect(
      look(
        "kraken",
        #"{"method":"subscribe","result":{"channel":"ticker","snapshot":true,"symbol":"ALGO/USD"},"#
          + #""success":true,"time_in":"a"}"#
      ).confirms)
    #expect(!look("kraken", #"{"channel":"ticker","type":"update","data":[{"symbol":"ALGO/USD"}]}"#).isHeartbeat)
  }

  @Test(arguments: [
    #"{"success":true,"ret_msg":"pong","conn_id":"0970e817","req_id":"","op":"ping"}"#,
    #"{"args":["1672916271846"],"op":"pong"}"#,
    #"{"req_id":"test","op":"pong","args":["1675418560633"],"conn_id":"cfcb4ocsvfriu23r3er0-1b"}"#,
  ])
  func pongsOfBybit(message: String) { #expect(look("bybit", message).isHeartbeat) }

  @Test func bybit() {
    let book = look(
      "bybit",
      #"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[],"#
        + #""u":177400507,"seq":66544703342},"cts":1}"#)
    #expect(book.number == ["177400507"] && book.keys == [#""orderbook.50.BTCUSDT""#])
    #expect(
      look(
        "bybit",
        #"{"success":true,"ret_msg":"subscribe","conn_id":"x","req_id":"10110001","#
          + #""op":"subscribe"}"#
      ).confirms)
    #expect(
      look(
        "bybit",
        #"{"success":true,"conn_id":"x","data":{"failTopics":[],"successTopics":["a"]},"#
          + #""type":"COMMAND_RESP"}"#
      ).confirms)
  }

  @Test func okx() {
    let book = look(
      "okx",
      #"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[],"#
        + #""ts":"1","checksum":0,"prevSeqId":123456,"seqId":123457}]}"#)
    #expect(book.number == ["123457"] && book.previous == "123456" && book.keys.count == 2)
    #expect(
      look(
        "okx",
        #"{"event":"notice","code":"64008","msg":"The connection will soon be closed","#
          + #""connId":"a4d3ae55"}"#
      ).isRotation)
    #expect(
      look(
        "okx",
        #"{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"#
          + #""connId":"a4d3ae55"}"#
      ).confirms)
  }

  @Test func deribit() {
    let book = look(
      "deribit",
      #"{"params":{"data":{"type":"change","timestamp":1,"prev_change_id":297217,"#
        + #""instrument_name":"BTC-PERPETUAL","change_id":297218,"bids":[],"asks":[]},"#
        + #""channel":"book.BTC-PERPETUAL.100ms"},"method":"subscription","jsonrpc":"2.0"}"#)
    #expect(book.number == ["297218"] && book.previous == "297217" && book.keys == [#""book.BTC-PERPETUAL.100ms""#])
    #expect(look("deribit", #"{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}"#).isHeartbeat)
    #expect(
      look(
        "deribit",
        #"{"jsonrpc":"2.0","id":9,"result":{"version":"1.2.26"},"usIn":1,"usOut":2,"#
          + #""usDiff":1,"testnet":true}"#
      ).isHeartbeat)
    #expect(look("deribit", #"{"jsonrpc":"2.0","id":3600,"result":["deribit_price_index.btc_usd"]}"#).confirms)
    #expect(!look("deribit", #"{"jsonrpc":"2.0","id":1,"result":"ok"}"#).confirms)
  }

  @Test func alpaca() {
    let set = options([("preset", "alpaca"), ("login", "x")])
    func matches(_ list: PatternList, _ text: String) -> Bool {
      Array(text.utf8).withUnsafeBytes { list.matches($0) }
    }
    #expect(matches(set.loginConfirm, #"[{"T":"success","msg":"authenticated"}]"#))
    #expect(!matches(set.loginConfirm, #"[{"T":"success","msg":"connected"}]"#))
    #expect(matches(set.loginReject, #"[{"T":"error","code":406,"msg":"connection limit exceeded"}]"#))
    #expect(
      matches(
        set.subscribeConfirm,
        #"[{"T":"subscription","trades":["AAPL"],"quotes":["AMD","CLDR"],"#
          + #""bars":["*"]}]"#))
  }
}
