package alerts

const childDir = "WATCHDOG_ALERTS_TEST_CHILD"

func runChild(string) int { return 2 }
