// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import Logging

/// How much the log says: the library's levels.
enum LogLevel: String, CaseIterable, Sendable {
  case error, warning, info, debug

  var number: Int32 {
    switch self {
    case .error: Int32(PULSEWS_LOG_ERROR)
    case .warning: Int32(PULSEWS_LOG_WARNING)
    case .info: Int32(PULSEWS_LOG_INFO)
    case .debug: Int32(PULSEWS_LOG_DEBUG)
    }
  }

  init(number: Int32) { self = LogLevel.allCases.first { $0.number >= number } ?? .debug }

  init(_ level: Logger.Level) {
    switch level {
    case .trace, .debug: self = .debug
    case .info, .notice: self = .info
    case .warning: self = .warning
    case .error, .critical: self = .error
    }
  }

  var loggerLevel: Logger.Level {
    switch self {
    case .error: .error
    case .warning: .warning
    case .info: .info
    case .debug: .debug
    }
  }
}
