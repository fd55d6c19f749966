package lab

import "fmt"

// Try says where things are and what to type.
func (l *Lab) Try() string {
	return fmt.Sprintf(`application   curl %s
status        docker exec $(docker ps -qf label=com.docker.compose.service=wd1) watchdog status
mailbox       docker exec $(docker ps -qf label=com.docker.compose.service=mail) lab mailbox --dir /mail
ledger        docker exec $(docker ps -qf label=com.docker.compose.service=client) lab report --servers db1,db2 --user gestionale --passfile /secret/pgpass --dir /ledger

break host 1  for s in db1 wd1 helper1 app1; do docker kill $(docker ps -qf label=com.docker.compose.service=$s); done
plan          docker exec $(docker ps -qf label=com.docker.compose.service=wd2) watchdog promote
promote       docker exec -it $(docker ps -qf label=com.docker.compose.service=wd2) watchdog promote --confirm
end           make lab-down
`, l.HealthURL())
}
