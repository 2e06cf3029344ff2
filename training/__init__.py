"""What all trainers share; knows no network, no loss and no data set of ours."""
