// SPDX-License-Identifier: Apache-2.0

/// Topics for positions, orders, trades and equity of accounts.
struct PortfolioConfig: Equatable, Sendable {
  enum Kind: String, CaseIterable, Sendable {
    case positions, orders, trades, equity

    /// The type of its messages.
    var type: String {
      switch self {
      case .positions: "position_update"
      case .orders: "order"
      case .trades: "trade_executed"
      case .equity: "equity_snapshot"
      }
    }
  }

  let line: Int
  var prefix = "portfolio"
  var account = "data.account"
  var positionKey = "data.symbol"
  var orderKey = "data.id"
  var history = 1000

  static func == (left: PortfolioConfig, right: PortfolioConfig) -> Bool {
    left.prefix == right.prefix && left.account == right.account && left.positionKey == right.positionKey
      && left.orderKey == right.orderKey && left.history == right.history
  }

  static func read(_ section: Section) -> PortfolioConfig {
    var portfolio = PortfolioConfig(line: section.line)
    if let prefix = section.text("prefix") {
      portfolio.prefix = prefix.value
      if !prefix.value.split(separator: ".", omittingEmptySubsequences: false).allSatisfy({ TopicName.isSegment(String($0)) }) {
        section.findings.error(prefix.line, "\"prefix\" of [portfolio] is the begin of a topic's name, and not \"\(prefix.value)\"")
      }
    }
    for (key, path) in [
      ("account", \PortfolioConfig.account), ("position_key", \.positionKey), ("order_key", \.orderKey),
    ] {
      guard let text = section.text(key) else { continue }
      portfolio[keyPath: path] = text.value
      if text.value.split(separator: ".", omittingEmptySubsequences: false).contains(where: \.isEmpty) {
        section.findings.error(text.line, "\"\(key)\" of [portfolio] is a path such as data.symbol, and not \"\(text.value)\"")
      }
    }
    portfolio.history = section.count("history", 0...10_000_000) ?? portfolio.history
    section.finish()
    return portfolio
  }

  func pattern(_ kind: Kind) -> String { "\(prefix).*.\(kind.rawValue)" }

  /// The options of its topics: the latest of each position and order for who comes, the past for who asks; for those alone
  /// whose token names the account.
  func options(_ kind: Kind) -> [(name: String, value: String)] {
    let granted = ("subscribe", "granted")
    let past = ("history", "\(history)")
    switch kind {
    case .positions: return [granted, ("latest", "true"), ("conflate", positionKey), past]
    case .orders: return [granted, ("latest", "true"), ("conflate", orderKey), past]
    case .trades: return [granted, past, ("history_age", "0")]
    case .equity: return [granted, ("latest", "true"), past, ("history_age", "0")]
    }
  }

  /// The path of the key that messages of a kind are published with.
  func keyPath(_ kind: Kind) -> [String]? {
    switch kind {
    case .positions: positionKey.split(separator: ".").map(String.init)
    case .orders: orderKey.split(separator: ".").map(String.init)
    case .trades, .equity: nil
    }
  }
}
