// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseProcess
import PulseText

// Versions, the error table, the option table.

@c @implementation
public func pulsews_version() -> UnsafePointer<CChar>? { constant(Version.text) }

@c @implementation
public func pulsews_version_number() -> UInt32 { Version.number }

@c @implementation
public func pulsews_error_at(_ index: Int) -> Int32 {
  StatusCode.at(index)?.rawValue ?? 0
}

@c @implementation
public func pulsews_error_name(_ code: Int32) -> UnsafePointer<CChar>? {
  constant(StatusCode.name(code))
}

@c @implementation
public func pulsews_error_text(_ code: Int32) -> UnsafePointer<CChar>? {
  constant(StatusCode.text(code))
}

@c @implementation
public func pulsews_error_retryable(_ code: Int32) -> Int32 {
  StatusCode(rawValue: code)?.isRetryable == true ? 1 : 0
}

@c @implementation
public func pulsews_option_at(
  _ index: Int, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ type: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ defaultValue: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ range: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ meaning: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard let entry = OptionTable.entry(index) else { return StatusCode.invalidArgument.rawValue }
  name?.pointee = constant(entry.name)
  type?.pointee = constant(entry.kind.name)
  defaultValue?.pointee = constant(entry.defaultValue)
  range?.pointee = constant(entry.allowed)
  meaning?.pointee = constant(entry.meaning)
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_transition_at(
  _ index: Int, _ from: UnsafeMutablePointer<Int32>?, _ event: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ to: UnsafeMutablePointer<Int32>?, _ meaning: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard let entry = TransitionTable.entry(index) else { return StatusCode.invalidArgument.rawValue }
  from?.pointee = entry.from
  event?.pointee = constant(entry.event)
  to?.pointee = entry.to
  meaning?.pointee = constant(entry.meaning)
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_statistic_at(
  _ index: Int, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ type: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ unit: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ meaning: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard index >= 0, index < StatisticTable.count else { return StatusCode.invalidArgument.rawValue }
  name?.pointee = constant(StatisticTable.name(index))
  type?.pointee = constant(StatisticTable.isCounter(index) ? "counter" : "gauge")
  unit?.pointee = constant(StatisticTable.unit(index))
  meaning?.pointee = constant(StatisticTable.meaning(index))
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_preset_at(
  _ index: Int, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ text: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ options: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard index >= 0, index < PresetTable.count else { return StatusCode.invalidArgument.rawValue }
  name?.pointee = constant(PresetTable.name(index))
  text?.pointee = constant(PresetTable.text(index))
  options?.pointee = constant(PresetTable.options(index))
  return StatusCode.ok.rawValue
}
